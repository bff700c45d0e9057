set -eu
exec redis-cli -h 127.0.0.1 -p "${REDIS_PORT:-6379}" --rdb -
