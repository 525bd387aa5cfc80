"""A short torture; `make torture` is the long one, and docs/reliability.md says what it counted."""

from __future__ import annotations

import shutil

import pytest

from tests.torture import shim
from tests.torture.tally import sample


@pytest.mark.slow
@pytest.mark.timeout(3600)  # hundreds of runs: minutes, and on a slow and busy machine many
@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_whatever_is_killed_fails_or_is_damaged_no_rule_is_broken(tmp_path):
    done = shim.start("--most", 3, "--rounds", 2, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-6000:]
    assert "\n0 rules broken" in done.stdout
    kinds = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(kinds) > 40, kinds


def test_chosen_calls_are_all_there_are_or_spread_from_the_first_to_the_last():
    assert sample(4, None) == sample(4, 9) == [1, 2, 3, 4]
    assert sample(100, 4) == [1, 34, 67, 100]
