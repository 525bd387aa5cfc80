"""The room is cheap to enter and knows no other."""

from __future__ import annotations

import subprocess
import sys

import pytest

from optathlon import results


@pytest.mark.parametrize(
    "statement",
    [
        "import optathlon.results",
        "from optathlon.results import Store, free_reports, this_process",
        "from optathlon.results import render, leaderboard",
    ],
)
def test_nothing_heavy_is_imported(statement):
    others = [f"optathlon.{room}" for room in ("suite", "tasks", "optimizers", "slurm")]
    heavy = ("torch", "numpy", "pandas", "scipy", "rich", "submitit", *others)
    check = f"{statement}\nimport sys\nprint([m for m in {heavy} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_all_that_is_promised_is_there():
    assert all(getattr(results, name).__name__ == name for name in results.__all__)
    assert sorted(results.__all__) == sorted(results._MODULES)
    with pytest.raises(AttributeError, match="nonsense"):
        results.nonsense  # noqa: B018
