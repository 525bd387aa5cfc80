"""Failed runs are let go on, and no others."""

from __future__ import annotations

import json

import pytest

from optathlon.results import Store
from tests.suite.commands.in_process import run_here
from tests.suite.stories import fail, finish, planned
from tests.suite.sweeps import SWEEP

BUILT_IN = SWEEP.replace("toy:TASK", "ptb-awd-lstm")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_retry_lets_failed_runs_be_claimed_again_and_only_those(store, tmp_path):
    plan = planned(tmp_path, BUILT_IN, store)
    fail(store, plan.runs[0], "ValueError: wrong", times=3)
    fail(store, plan.runs[1], "ValueError: wrong", times=3)
    finish(store, plan, plan.runs[2], status="diverged", diverged_at=3, scores=[])
    one = run_here(tmp_path, "retry", plan.runs[0].id[:8], "--json")
    assert json.loads(one.stdout)["retried"] == [plan.runs[0].id]
    assert "else launch it again" in one.stderr
    assert [store.states([r.id])[r.id].kind for r in plan.runs[:2]] == ["stopped", "failed"]
    assert json.loads(run_here(tmp_path, "retry", "toys", "--json").stdout)["retried"] == [plan.runs[1].id]
    assert "nothing to retry" in run_here(tmp_path, "retry", "toys").stderr
    for run, why in ((plan.runs[2], "diverged, which is an outcome"), (plan.runs[3], "it is waiting")):
        refused = run_here(tmp_path, "retry", "toys", run.id)
        assert (refused.returncode, why in refused.stderr) == (2, True), refused.stderr
