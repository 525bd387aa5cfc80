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


def test_the_statistics_of_a_summary_do_without_scipy_whose_import_takes_as_long_as_a_large_board():
    check = """
import sys
from optathlon.results.statistics.dunnett import dunnett, unequal_spreads
from optathlon.results.statistics.ranking import critical_difference, friedman
from optathlon.results.statistics.wilcoxon import wilcoxon
dunnett({"a": [1.0, 2.0]}, [2.0, 4.0]), unequal_spreads([[1.0, 2.0], [2.0, 4.0]])
critical_difference(4, 14), friedman({"a": [1.0], "b": [2.0], "c": [3.0]}), wilcoxon([1.0, 2.0])
print("scipy" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_all_that_is_promised_is_there():
    assert all(getattr(results, name).__name__ == name for name in results.__all__)
    assert sorted(results.__all__) == sorted(results._MODULES)
    with pytest.raises(AttributeError, match="nonsense"):
        results.nonsense  # noqa: B018
