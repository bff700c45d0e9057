#!/bin/sh
# As in the image it stands in for, but that a password is asked for everywhere.
set -e
user=${POSTGRES_USER:-postgres}
if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  umask 077
  printf %s "${POSTGRES_PASSWORD:?is not set}" >/tmp/password
  initdb --pgdata="$PGDATA" --username="$user" --pwfile=/tmp/password --auth=scram-sha-256 \
    --no-locale --encoding=UTF8 --no-sync
  rm /tmp/password
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  if [ "${POSTGRES_DB:-$user}" != postgres ]; then
    echo "CREATE DATABASE \"${POSTGRES_DB:-$user}\"" | postgres --single -D "$PGDATA" postgres
  fi
fi
if [ "${1:-}" = postgres ]; then
  set -- "$@" -c 'listen_addresses=*' -c jit=off
fi
exec "$@"
