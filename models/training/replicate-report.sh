#!/usr/bin/env bash
# docs/replication.md out of every model of models/ and models/zoo (see sr/replicate_report.py); hours. Resumes; arguments
# are passed on.
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")"
python=${TRAINING_PYTHON:-.venv/bin/python}
command -v "$python" >/dev/null || { echo "replicate-report: no $python; run models/training/test.sh once" >&2; exit 1; }
OMP_NUM_THREADS=1 exec "$python" -m sr.replicate_report "$@"
