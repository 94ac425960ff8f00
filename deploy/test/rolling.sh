#!/usr/bin/env bash
# A rolling restart of two servers behind haproxy, under load: no request may fail. $SERVER names the binary to test.
set -euo pipefail
cd "$(dirname "$0")/../.."
source deploy/test/tools.sh
export PYTHONDONTWRITEBYTECODE=1

need haproxy haproxy
server_under_test
exec timeout 300 python3 deploy/test/rolling.py "${server[@]}"
