"""Which runs a worker may take, and whether it stays for those that run elsewhere."""

from __future__ import annotations

import pytest

from optathlon.results import Store, this_process
from optathlon.suite.code import SUBMITTED_TREE, changed, code
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand
from optathlon.suite.planning.scope import Scope
from optathlon.suite.working.assignment import Assignment
from optathlon.suite.working.claimable import free_runs
from tests.suite.sweeps import SWEEP, write

TUNED = SWEEP.replace("seeds = [0, 1]", "seeds = {tune = [0, 1], report = [5]}").replace(
    '"toy:TASK"', '"toy:TASK", "toy:LINEAR"'
)
JOB, OTHER = "slurm:c:ana:toys-1:7_0", "slurm:c:ana:toys-1:7_1"


@pytest.fixture
def assignment(tmp_path):
    """A worker's assignment, with the first run of the plan under way in job 7_0."""
    store = Store(tmp_path / "store")
    plan = expand(sweep_reader.load(write(tmp_path, TUNED)), tmp_path)
    assert store.claim(plan.runs[0].id, this_process(JOB))
    return lambda **more: Assignment(store=store, plan=plan, data=tmp_path, **more)


def names(runs):
    return {run.id for run in runs}


def test_what_runs_in_another_job_is_not_free_and_what_ran_before_this_one_restarted_is(assignment):
    first = assignment().plan.runs[0].id
    for owner in (this_process(OTHER, 1), this_process(JOB, 0), this_process()):
        runs, waits = free_runs(assignment(), owner, ())
        assert first not in names(runs)
        assert len(runs) == 7
        assert waits
    runs, waits = free_runs(assignment(), this_process(JOB, 1), ())
    assert first in names(runs)
    assert not waits
    assert assignment().store.claim(first, this_process(JOB, 1)).number == 2


def test_a_worker_of_some_tasks_takes_theirs_only(assignment):
    runs, _ = free_runs(assignment(scope=Scope(frozenset({"toy:LINEAR"}))), this_process(), ())
    assert {run.column for run in runs} == {"toy:LINEAR"}


def test_a_worker_of_some_rows_takes_theirs_only(assignment):
    runs, _ = free_runs(assignment(scope=Scope(rows=frozenset({"adamw"}))), this_process(), ())
    assert [(run.row, run.column) for run in runs] == [("adamw", t) for t in ("toy:TASK", "toy:LINEAR") for _ in "01"]


@pytest.mark.parametrize(
    ("more", "stays"),
    [
        ({}, True),
        ({"leave": True, "stage": "tune"}, False),
        ({"leave": True, "stage": "all"}, True),  # a run to tune holds reports back
        ({"leave": True, "stage": "tune", "canary": True}, True),
    ],
)
def test_a_worker_that_leaves_stays_only_for_what_holds_its_runs_back(assignment, more, stays):
    assert free_runs(assignment(**more), this_process(OTHER), ())[1] == stays


def test_in_a_sweep_with_looks_a_worker_stays_for_the_last_run_of_a_look(tmp_path):
    store = Store(tmp_path / "store")
    sweep = SWEEP.replace("seeds = [0, 1]", "seeds.report = {first = 2, most = 4}")
    plan = expand(sweep_reader.load(write(tmp_path, sweep)), tmp_path)
    assert store.claim(plan.runs[0].id, this_process(JOB))
    runs, stays = free_runs(Assignment(store=store, plan=plan, data=tmp_path, leave=True), this_process(OTHER), ())
    assert {run.seed for run in runs} == {0, 1}
    assert stays


def test_code_that_changed_since_the_job_was_submitted_is_noticed(monkeypatch):
    monkeypatch.delenv(SUBMITTED_TREE, raising=False)
    assert changed() is None
    monkeypatch.setenv(SUBMITTED_TREE, code()["tree"])
    assert changed() is None
    monkeypatch.setenv(SUBMITTED_TREE, "0123456789abcdef")
    assert "changed since it was submitted: tree 0123456789abcdef then" in (changed() or "")
