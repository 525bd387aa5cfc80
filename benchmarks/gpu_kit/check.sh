#!/usr/bin/env bash
# Checks Optathlon on a machine without a network: bash gpu-kit/check.sh --minutes 9 --output results [--device cpu]
# It needs Python with torch, torchvision, torchaudio, transformers, SciPy, scikit-learn, pyarrow, matplotlib, timm and pytest;
# what else there is comes from wheels/ beside this file.
# Exits with 0 if all parts passed, 1 if one failed, 2 if it could not begin, 3 if none failed but some did not come to their
# end, 5 without a GPU, 130 or 143 if it was stopped by Ctrl-C or SIGTERM.
set -euo pipefail
kit="$(cd "$(dirname "$0")" && pwd)"
python="${PYTHON:-python3}"
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "check.sh: $python is no Python of 3.11 or later; PYTHON=/path/to/python names another" >&2
    exit 2
fi
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
# What a cluster's modules have put there stays, after the kit's. Python takes the shell's place: signals reach it.
export PYTHONPATH="$kit/source${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -P "$kit/source/benchmarks/gpu_kit/check.py" --wheels "$kit/wheels" "$@"
