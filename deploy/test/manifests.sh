#!/usr/bin/env bash
# Renders the Kubernetes overlays and holds them to the real schemas, and rules and dashboards to each other. Needs kubectl
# (for `kubectl kustomize`), Python 3 and, the first time, PyPI. Where kubectl is missing it says so: an error in CI, a
# skip elsewhere.
set -euo pipefail
cd "$(dirname "$0")/../.."
source deploy/test/tools.sh

if ! command -v kubectl >/dev/null; then
    echo "manifests: kubectl 1.27 or newer is needed to render deploy/kubernetes; install it and run this again" >&2
    [[ -z ${CI:-} ]] && exit 0
    exit 1
fi
python_environment
exec "$python" -m unittest discover --start-directory deploy/test --pattern 'test_*.py'
