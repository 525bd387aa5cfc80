"""What every worker does with its runs: which are free, which it leaves alone, and how they ended."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from optathlon.results import Store, this_process
from optathlon.results.store.refusals import refusals
from optathlon.slurm.signals import IN_VAIN, PREEMPTED
from optathlon.suite.errors import OK
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand, run_of
from optathlon.suite.user_modules import look_beside
from optathlon.suite.working.assigned_runs import AssignedRuns, label
from optathlon.suite.working.assignment import Assignment
from optathlon.suite.working.exit_codes import REFUSED
from tests.suite.sweeps import HERE, write

look_beside(HERE)


@pytest.fixture
def runs(tmp_path):
    """The four runs of a sweep, none begun."""
    plan = expand(sweep_reader.load(write(tmp_path)), tmp_path)
    return AssignedRuns(Assignment(store=Store(tmp_path / "store"), plan=plan, data=tmp_path))


def ids(planned):
    return [run.id for run in planned]


def why(runs):
    return {run: refusal.why for run, refusal in refusals(runs.store, runs.plan.head.name).items()}


def test_all_are_free_in_the_plans_order_but_those_at_work(runs):
    everything = ids(runs.plan.runs)
    assert ids(runs.free()[0]) == everything
    assert ids(runs.free(busy={everything[0]})[0]) == everything[1:]


def test_a_refused_run_is_left_alone_and_status_can_tell_why(runs, capsys):
    first = runs.plan.runs[0]
    runs.refuse(first, "no such machine")
    assert first.id not in ids(runs.free()[0])
    assert why(runs) == {first.id: "no such machine"}
    assert f"{label(first)} refused: no such machine" in "".join(capsys.readouterr())


def test_what_this_machine_may_carry_out_is_not_refused(runs):
    assert not runs.refuses(runs.plan.runs[0])
    assert why(runs) == {}


def test_more_processes_than_an_update_has_parts_are_refused(runs):
    assert runs.refuses(runs.plan.runs[0], processes=3)
    assert "processes" in why(runs)[runs.plan.runs[0].id]


def test_a_job_is_of_the_run_and_as_the_assignment_says(runs, tmp_path):
    run = run_of(runs.plan, runs.plan.runs[0])
    job = runs.job(run, "cpu", watched=True)
    assert (job.run, job.store, job.data, job.device, job.watched) == (run, runs.store, tmp_path, "cpu", True)
    assert job.owner().pid == os.getpid()


def test_a_run_whose_process_died_before_it_began_is_not_started_again_and_again(runs):
    first = runs.plan.runs[0]
    runs.settle(first, 2**22 + 1, [-11], asked=False, out_of_memory=False)
    assert "no attempt began" in why(runs)[first.id]


def test_a_run_that_could_not_be_claimed_is_left_alone(runs):
    first = runs.plan.runs[0]
    runs.settle(first, 2**22 + 1, [REFUSED], asked=False, out_of_memory=False)
    assert "could not claim it" in why(runs)[first.id]


def test_how_a_process_that_could_not_say_it_died_is_written_down(runs):
    first = runs.plan.runs[0]
    assert runs.store.claim(first.id, replace(this_process(), pid=2**22 + 1))
    runs.settle(first, 2**22 + 1, [-11], asked=False, out_of_memory=False)
    (ended,) = runs.store.endings(first.id).values()
    assert ended.kind == "failed"
    assert why(runs) == {}


def test_a_worker_stopped_after_some_run_got_on_exits_otherwise_than_one_in_vain(runs):
    assert runs.stopped_code == IN_VAIN
    runs.settle(runs.plan.runs[0], os.getpid(), [OK], asked=False, out_of_memory=False)
    assert runs.stopped_code == PREEMPTED
