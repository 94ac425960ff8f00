#!/usr/bin/env bash
# The talk's systems at one small budget (see sr/replicate.py): hours on two cores. Resumes; arguments are passed on.
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")"
python=${TRAINING_PYTHON:-.venv/bin/python}
command -v "$python" >/dev/null || { echo "replicate: no $python; run models/training/test.sh once" >&2; exit 1; }
OMP_NUM_THREADS=1 exec "$python" -m sr.replicate "$@"
