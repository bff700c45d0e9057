#!/bin/sh
# As in the image it stands in for: open to its network, since only published ports leave it.
set -e
case ${1:-} in
  -*) set -- redis-server "$@" ;;
esac
if [ "${1:-}" = redis-server ]; then
  set -- "$@" --protected-mode no
fi
exec "$@"
