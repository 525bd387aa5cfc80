# Two commands do everything on a bare machine with Python 3.11: `make quickstart` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Without compiled bytecode every `import torch` takes seconds longer.
unexport PYTHONDONTWRITEBYTECODE
export OMP_NUM_THREADS = 1

BIN = .venv/bin
SET_UP = .venv/set-up
PYTEST = $(BIN)/python -m pytest -q

.PHONY: quickstart test check lint types fast slow torture gpu-kit format

quickstart: $(SET_UP)
	$(BIN)/optathlon data standin mnist ptb speech-commands
	$(BIN)/optathlon launch quickstart
	$(BIN)/optathlon leaderboard quickstart --format csv --output leaderboard.csv
	$(BIN)/optathlon leaderboard quickstart
	$(BIN)/optathlon report quickstart
	@printf '\nNext: optathlon list tasks; optathlon show quickstart > my.toml; optathlon launch my.toml\n' >&2
	@printf '(after `. .venv/bin/activate`; the sweep file is explained in docs/sweeps.md)\n' >&2

# All parts, also after one has failed.
test: $(SET_UP)
	@$(MAKE) --no-print-directory --keep-going --jobs=1 lint types fast slow

# All three at once, on two cores or more: each has stretches in which one process works alone.
check: $(SET_UP)
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target lint types fast

lint: $(SET_UP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(SET_UP)
	$(BIN)/basedpyright --pythonpath $(BIN)/python

fast: $(SET_UP)
	$(PYTEST) -n 2 --dist loadfile -m "not slow and not gpu and not official"

slow: $(SET_UP)
	$(PYTEST) -n 2 --dist loadgroup -m "slow and not gpu and not official"

# Kills, I/O errors, wrong clocks and damaged files, at every point: more than an hour (docs/reliability.md).
torture: $(SET_UP)
	$(BIN)/python -m tests.torture

# A folder for a machine with a GPU and without a network: docs/gpu-kit.md
gpu-kit: $(SET_UP)
	$(BIN)/python benchmarks/gpu_kit/build.py gpu-kit

format: $(SET_UP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

$(SET_UP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv || { echo "Python 3.11 with venv is needed: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --compile-bytecode --constraint constraints.txt \
		--config-settings editable_mode=compat --editable '.[modern,standins,dev]'
	touch $(SET_UP)
