#!/usr/bin/env bash
# Tests of the training project, in a virtual environment of its own (models/training/.venv).
#   models/training/test.sh [pytest arguments]
# TRAINING_PYTHON=/path/to/python uses that interpreter as it is and installs nothing.
# SAN_DATA names the folder with train/ and test/ (default: ../shared/data beside the repository); tests that need it
# are skipped without it, and the reasons are printed.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd "$here"

if [[ -n ${TRAINING_PYTHON:-} ]]; then
  python=$TRAINING_PYTHON
else
  venv=$here/.venv
  python=$venv/bin/python
  stamp=$venv/installed
  wanted=$(sha256sum requirements.txt | cut -d' ' -f1)
  if [[ ! -x $python ]]; then
    command -v python3 >/dev/null || { echo "test-training: python3 is missing (3.11 or newer is needed)" >&2; exit 1; }
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
      { echo "test-training: $(python3 --version) is too old: 3.11 or newer is needed" >&2; exit 1; }
    python3 -m venv "$venv" || { echo "test-training: python3 has no venv module" >&2; exit 1; }
  fi
  if [[ ! -f $stamp || $(<"$stamp") != "$wanted" ]]; then
    echo "test-training: installing the pinned packages (once; torch is large)"
    if ! "$python" -m pip install --quiet --disable-pip-version-check -r requirements.txt; then
      echo "test-training: these packages could not be installed (is the package index reachable?); missing:" >&2
      "$python" - <<'PY' >&2
import re
from importlib.metadata import PackageNotFoundError, version
for line in open("requirements.txt", encoding="utf-8"):
    if match := re.match(r"([\w.-]+)==(\S+)", line):
        try:
            have = version(match[1])
        except PackageNotFoundError:
            have = "none"
        if have.split("+")[0] != match[2]:
            print(f"  {match[1]}=={match[2]} (have {have})")
PY
      exit 1
    fi
    echo "$wanted" >"$stamp"
  fi
fi

# One thread each for the numeric libraries: the tests are small, and barriers cost more than they give.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "$python" -m pytest -q -rs tests "$@"
