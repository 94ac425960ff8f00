#!/usr/bin/env bash
# `make test-deploy`: everything about running it in production that can be tried on one machine without a container
# runtime. Installs what it needs where it is root, else says what to install. $SERVER names the binary to test.
set -euo pipefail
cd "$(dirname "$0")/../.."
source deploy/test/tools.sh
export PYTHONDONTWRITEBYTECODE=1

need prometheus prometheus promtool
need haproxy haproxy
python_environment
server_under_test

step() { printf '\n== %s\n' "$1"; }

step "manifests, rules and dashboards, by themselves"
CI=1 deploy/test/manifests.sh
step "custom resources, compose.yaml and dashboards, by their own schemas"
deploy/test/schemas.sh
step "Prometheus rules"
promtool check rules deploy/prometheus/rules/*.yaml
promtool test rules deploy/prometheus/tests/*.yaml
promtool check config --syntax-only deploy/prometheus/prometheus.yml
step "what is shipped"
deploy/test/supply.sh
step "every query, on a real Prometheus and a server under load"
timeout 240 "$python" deploy/test/observe.py "${server[@]}"
step "a rolling restart behind haproxy"
timeout 180 "$python" deploy/test/rolling.py "${server[@]}"
step "attacks, in short"
timeout 300 "$python" deploy/test/attacks.py "${server[@]}"
