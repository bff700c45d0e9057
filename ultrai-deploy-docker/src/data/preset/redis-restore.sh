set -eu
umask 077
port=${REDIS_PORT:-6379}
dir=
second=
attached=
asked() { redis-cli -h 127.0.0.1 -p "$port" "$@"; }
field() { asked INFO "$1" | tr -d '\r' | sed -n "s/^$2://p"; }
fail() { echo "redis: $*" >&2; exit 1; }
# `redis-cli` ends with 0 also when the server refuses.
must() { answer=$(asked "$@") || fail "$* failed"; [ "$answer" = OK ] || fail "$1 $2: $answer"; }
setting() { asked CONFIG GET "$1" | sed -n 2p; }
# Values are read from the standard input: arguments can be seen by others.
put() { answer=$(printf %s "$2" | asked -x CONFIG SET "$1"); [ "$answer" = OK ] || fail "CONFIG SET $1: $answer"; }
finish() {
  code=$?
  trap - EXIT
  if [ -n "$attached" ]; then
    asked REPLICAOF NO ONE >/dev/null || code=1
    printf %s "$auth" | asked -x CONFIG SET masterauth >/dev/null || code=1
    printf %s "$user" | asked -x CONFIG SET masteruser >/dev/null || code=1
  fi
  [ -z "$second" ] || { kill "$second" 2>/dev/null; wait "$second" 2>/dev/null || true; }
  [ -z "$dir" ] || rm -rf "$dir"
  exit "$code"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM PIPE

[ "$(asked PING)" = PONG ] || fail "the server does not answer at 127.0.0.1:$port: $(asked PING 2>&1)"
# One that was killed here leaves the server following what is gone.
case $(field replication role),$(field replication master_host),$(field replication master_link_status) in
master,*) ;; slave,127.0.0.1,down) ;; *) fail "the server is a replica: restore the one that it follows" ;; esac
auth=$(setting masterauth)
user=$(setting masteruser)
dir=$(mktemp -d)
cat >"$dir/dump.rdb"
[ -s "$dir/dump.rdb" ] || fail "the dump is empty"

# The second server: only here, only with this password.
own=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
try=0
while :; do
  try=$((try + 1))
  other=$((20000 + ($(head -c 2 /dev/urandom | od -An -tu2 | tr -d ' ') % 20000)))
  redis-server - >"$dir/log" 2>&1 <<CONFIG &
bind 127.0.0.1
port $other
dir $dir
dbfilename dump.rdb
save ""
appendonly no
databases $(setting databases)
requirepass $own
repl-diskless-sync-delay 0
CONFIG
  second=$!
  # It ends by itself when the port is taken or the dump is broken.
  while kill -0 "$second" 2>/dev/null; do
    [ "$(REDISCLI_AUTH=$own redis-cli -h 127.0.0.1 -p "$other" PING 2>/dev/null)" != PONG ] || break 2
    sleep 0.1
  done
  wait "$second" 2>/dev/null || true
  second=
  if [ "$try" -ge 5 ] || ! grep -q 'Address already in use' "$dir/log"; then
    tail -n 5 "$dir/log" >&2
    fail "the dump cannot be loaded"
  fi
done

attached=yes
put masterauth "$own"
put masteruser ""
must REPLICAOF 127.0.0.1 "$other"
until [ "$(field replication master_link_status)" = up ] &&
  [ "$(field replication master_sync_in_progress)" = 0 ]; do
  kill -0 "$second" 2>/dev/null || fail "the server that has the dump ended"
  sleep 0.1
done
must REPLICAOF NO ONE
attached=
put masterauth "$auth"
put masteruser "$user"

# Until it is on the disk, a restart would bring back what was there before.
if [ "$(field persistence aof_enabled)" = 1 ]; then
  while [ "$(field persistence aof_rewrite_in_progress)$(field persistence aof_rewrite_scheduled)" != 00 ]; do
    sleep 0.1
  done
  [ "$(field persistence aof_last_bgrewrite_status)" = ok ] || fail "the append-only file could not be written"
elif [ -n "$(setting save)" ]; then
  until answer=$(asked BGSAVE) && case $answer in *started*) true ;; *"in progress"*) false ;; *) fail "BGSAVE: $answer" ;; esac; do
    sleep 0.1
  done
  while [ "$(field persistence rdb_bgsave_in_progress)" != 0 ]; do sleep 0.1; done
  [ "$(field persistence rdb_last_bgsave_status)" = ok ] || fail "the dump could not be written to disk"
fi
