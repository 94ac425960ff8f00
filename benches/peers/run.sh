#!/usr/bin/env bash
# `make bench-peers`: the same network behind LitServe, BentoML and FastAPI, and behind this service, under one load.
#   benches/peers/run.sh [--seconds 60] [--clients 8] [--batch 4] [--loads equal,mixed,large] [--only NAME]
# Run it on a quiet machine. $SERVER names a binary to use instead of building one.
set -euo pipefail
cd "$(dirname "$0")/../.."
source benches/tools.sh

need util-linux prlimit
environment peers
release_build
# The CPU provider from the plain build, which the peers have, too.
ours=(--ours cpu "${runtimes[0]}")
[[ ${runtimes[-1]} != *openvino* ]] || ours+=(--ours openvino "${runtimes[-1]}")
exec "$python" benches/peers/compare.py "${server[@]}" "${ours[@]}" "$@"
