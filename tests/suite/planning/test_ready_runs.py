"""Canaries: of each kind of run one goes first. Who waits for whom is a function of plan and store."""

from __future__ import annotations

import pytest

from optathlon.suite.planning.ready_runs import Canaries, ready_runs
from optathlon.suite.planning.scope import Scope
from tests.suite.stories import begin, end, finish, planned

SWEEP = """
name = "canaries"
scale = "smoke"
tasks = ["toy:TASK", "toy:LINEAR"]
seeds = [0, 1, 2]

[[optimizer]]
name = "sgd"
grid.lr = [0.1, 0.2]

[[optimizer]]
name = "adamw"

[[optimizer]]
name = "adamw"
label = "adamw in bf16"
protocol.precision = "bf16"
"""
TUNED = SWEEP.replace("seeds = [0, 1, 2]", "seeds = {tune = [0], report = [1, 2]}")


def free(store, plan, stage="all"):
    return [(r.column, r.row, r.seed) for r in ready_runs(store, plan, stage, canary=True)]


def test_one_run_a_task_optimizer_and_protocol_of_its_own_goes_first(store, tmp_path):
    plan = planned(tmp_path, SWEEP)
    rows = ("sgd lr=0.1", "adamw", "adamw in bf16")
    assert free(store, plan) == [(task, row, 0) for task in ("toy:TASK", "toy:LINEAR") for row in rows]
    assert len(ready_runs(store, plan, "all")) == 24


def test_workers_of_some_rows_have_a_canary_among_these(store, tmp_path):
    """Those of the others may come much later, or wait for these."""
    plan = planned(tmp_path, SWEEP)
    scope = Scope(frozenset({"toy:TASK"}), frozenset({"sgd lr=0.2"}))
    first, *rest = (run for run in plan.runs if scope.covers(run))
    assert ready_runs(store, plan, "all", scope=scope, canary=True) == [first]
    store.note_moved(begin(store, plan.runs[0]))  # one of another row has proven the kind
    assert ready_runs(store, plan, "all", scope=scope, canary=True) == [first, *rest]


def test_the_rest_of_a_kind_follows_when_its_canary_has_saved_a_checkpoint(store, tmp_path):
    plan = planned(tmp_path, SWEEP)
    canary = plan.runs[0]
    attempt = begin(store, canary)
    assert len(free(store, plan)) == 6
    store.note_moved(attempt)
    after = free(store, plan)
    assert len(after) == 5 + 6
    assert ("toy:TASK", "sgd lr=0.2", 2) in after
    assert ("toy:LINEAR", "sgd lr=0.2", 2) not in after


@pytest.mark.parametrize("outcome", [{}, {"status": "diverged", "diverged_at": 3, "scores": []}])
def test_or_when_a_run_of_the_kind_has_its_outcome_whichever_it_is(outcome, store, tmp_path):
    plan = planned(tmp_path, SWEEP)
    finish(store, plan, plan.runs[4], **outcome)
    assert plan.runs[4].row == "sgd lr=0.2"
    assert len(free(store, plan)) == 5 + 6


def test_behind_a_canary_that_failed_its_kind_waits_and_no_other(store, tmp_path):
    plan = planned(tmp_path, SWEEP)
    canary = plan.runs[0]
    for _ in range(3):
        end(store, canary, reason="ValueError: wrong", failure="optimizer")
    for run in plan.runs:
        if run.seed == 0 and run.row != "sgd lr=0.1":
            finish(store, plan, run)
    states = store.states(r.id for r in plan.runs)
    held = Canaries(store, plan, states)
    assert held.awaited(canary) is None
    assert held.held == []
    assert free(store, plan).count(("toy:TASK", "sgd lr=0.2", 1)) == 1, "sgd lr=0.2 has proven that sgd runs"


def test_tuning_canaries_come_first_and_reports_need_none_of_their_own(store, tmp_path):
    plan = planned(tmp_path, TUNED)
    assert {seed for _, _, seed in free(store, plan)} == {0}
    assert len(free(store, plan)) == 6
    for run in plan.runs:
        if run.role == "tune" and run.column == "toy:TASK":
            finish(store, plan, run)
    assert free(store, plan, "report") == [
        ("toy:TASK", row, seed) for row in ("sgd", "adamw", "adamw in bf16") for seed in (1, 2)
    ]
