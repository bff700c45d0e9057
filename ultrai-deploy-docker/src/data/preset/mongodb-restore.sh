set -eu
umask 077
config=
trap 'rm -f "$config"' EXIT
trap 'exit 1' HUP INT TERM PIPE
set --
if [ -n "${MONGODB_USER:-}" ]; then
  config=$(mktemp)
  escaped=$(printf %s "${MONGODB_PASSWORD:-}" | sed 's/[\\"]/\\&/g')
  printf 'password: "%s"\n' "$escaped" >"$config"
  set -- --config="$config" --username="$MONGODB_USER" \
    --authenticationDatabase="${MONGODB_AUTHENTICATION:-admin}"
fi
mongorestore --quiet --archive --drop --stopOnError "$@"
