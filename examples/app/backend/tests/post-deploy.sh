#!/bin/sh
# Post-deploy tests, run against the service that serves: the deployment works from end to end.
set -eu
cd "$(dirname "$0")"
# shellcheck source=answers.sh
. ./answers.sh

API_URL=${API_URL:-http://backend:8085}
answers /health '"status":"healthy"'
answers /health/ready '"status":"healthy"'
answers /health/live '"status":"alive"'
answers /api/v1/version "\"version\":\"$(sed -n 's/^APP_VERSION=//p' /app/release.env)\""
answers /health/database '"status":"connected"'
answers /health/redis '"status":"connected"'
answers /health/llm-providers '"status":"available"'
answers /api/models '"models"'
answers /api/analysis-patterns '"patterns"'
