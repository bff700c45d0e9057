#!/bin/sh
# Pre-deploy tests, run in the new image with the new configuration, before anything is switched:
# the release starts and reaches what it depends on.
set -eu
cd "$(dirname "$0")"
# shellcheck source=answers.sh
. ./answers.sh

PORT=18085 /app/demo-app &
app=$!
trap 'kill "$app" 2>/dev/null || true' EXIT
API_URL=http://127.0.0.1:18085
await /health/live '"status":"alive"'
answers /health/database '"status":"connected"'
answers /health/redis '"status":"connected"'
answers /api/v1/version "\"version\":\"$(sed -n 's/^APP_VERSION=//p' /app/release.env)\""
