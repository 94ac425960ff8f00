#!/usr/bin/env bash
# Holds what Kubernetes has no schema for (custom resources, compose.yaml, dashboards) to the schemas of the projects
# that read it. Needs kubectl, Node.js 20 or newer and, the first time, the npm registry.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in kubectl node npm; do
    command -v "$tool" >/dev/null || { echo "schemas: $tool is needed; install it and run this again" >&2; exit 1; }
done
folder=.cache/deploy-schemas
mkdir -p "$folder"
if ! cmp -s deploy/test/schemas/package-lock.json "$folder/package-lock.json"; then
    cp deploy/test/schemas/package.json deploy/test/schemas/package-lock.json "$folder/"
    (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || { rm "$folder/package-lock.json"; exit 1; }
fi
kubectl kustomize deploy/kubernetes/overlays/cpu >"$folder/cpu.yaml"
kubectl kustomize deploy/test/gateway >"$folder/gateway.yaml"
cp deploy/test/schemas/check.mjs "$folder/"
root=$PWD
cd "$folder"
node check.mjs "$root" cpu.yaml gateway.yaml
