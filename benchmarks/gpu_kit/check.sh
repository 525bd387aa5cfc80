#!/usr/bin/env bash
# Checks Optathlon on a machine without a network: bash gpu-kit/check.sh --minutes 9 --output results [--device cpu]
# It needs Python with torch, torchvision, torchaudio, transformers, SciPy, scikit-learn, pyarrow, matplotlib, timm and pytest;
# what else there is comes from wheels/ beside this file.
# Exits with 0 if all parts passed, 1 if one failed, 3 if none failed but some did not come to their end, 5 without a GPU.
set -euo pipefail
kit="$(cd "$(dirname "$0")" && pwd)"
python="${PYTHON:-python3}"
installed="$(mktemp -d)"
trap 'rm -rf "$installed"' EXIT
# Only what is missing: a second torch or NumPy would hide the machine's own.
"$python" "$kit/install.py" "$kit/wheels" "$installed"
PYTHONPATH="$kit/source:$installed" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" \
    "$python" -P "$kit/source/benchmarks/gpu_kit/check.py" "$@"
