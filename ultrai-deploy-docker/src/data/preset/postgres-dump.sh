set -eu
export PGUSER="${PGUSER:-postgres}"
export PGDATABASE="${PGDATABASE:-$PGUSER}"
exec pg_dump --format=custom --no-password --lock-wait-timeout=60s
