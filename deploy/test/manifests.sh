#!/usr/bin/env bash
# Renders the Kubernetes overlays and holds them to the real schemas. Needs kubectl (for `kubectl kustomize`), Python 3
# and, the first time, PyPI. Where kubectl is missing it says so: an error in CI, a skip elsewhere.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v kubectl >/dev/null; then
    echo "manifests: kubectl 1.27 or newer is needed to render deploy/kubernetes; install it and run this again" >&2
    [[ -z ${CI:-} ]] && exit 0
    exit 1
fi
venv=.cache/deploy-venv
if ! cmp -s deploy/test/requirements.txt "$venv/requirements.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r deploy/test/requirements.txt
    cp deploy/test/requirements.txt "$venv/requirements.txt"
fi
exec "$venv/bin/python" -m unittest discover --start-directory deploy/test --pattern 'test_*.py'
