"""One run carried out in this process: claimed, trained, committed, or left to whoever has it."""

from __future__ import annotations

import os

import pytest
import torch
from msgspec.structs import replace

from optathlon.results import Store, this_process
from optathlon.suite.errors import FAILED, OK
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand, run_of
from optathlon.suite.training.team import ALONE
from optathlon.suite.user_modules import look_beside
from optathlon.suite.working.exit_codes import BUSY, REFUSED
from optathlon.suite.working.job import Job, carry_out
from tests.suite.sweeps import HERE, write

look_beside(HERE)
CPU = torch.device("cpu")


@pytest.fixture
def job(tmp_path):
    """The job of the first run of a sweep; what it says is in `said`."""
    plan = expand(sweep_reader.load(write(tmp_path)), tmp_path)
    said: list[str] = []
    made = Job(run_of(plan, plan.runs[0]), Store(tmp_path / "store"), tmp_path, device="cpu", say=said.append)
    return made, said


def never() -> bool:
    return False


def test_a_run_is_claimed_trained_and_committed_once(job):
    made, _ = job
    assert carry_out(made, ALONE, CPU, never) == OK
    record = made.store.record(made.run.id)
    assert record is not None
    assert record.status == "finished"
    assert carry_out(made, ALONE, CPU, never) == BUSY, "it is done: nobody may claim it again"
    assert made.store.record(made.run.id) == record


def test_a_run_that_is_another_processs_is_left_to_it(job):
    made, _ = job
    assert made.store.claim(made.run.id, this_process())
    other = replace(this_process(), pid=os.getppid())
    assert carry_out(Job(made.run, made.store, made.data, owner=lambda: other), ALONE, CPU, never) == BUSY
    assert made.store.record(made.run.id) is None


def test_who_is_told_of_the_attempt_is_told_before_training(job):
    made, _ = job
    attempts = []
    assert carry_out(Job(made.run, made.store, made.data, claimed=attempts.append), ALONE, CPU, never) == OK
    assert [attempt.number for attempt in attempts] == [1]


def test_a_store_that_cannot_be_written_refuses_and_says_why(job, tmp_path):
    made, lines = job
    (tmp_path / "store" / "work").parent.mkdir(exist_ok=True)
    (tmp_path / "store" / "work").write_text("a file where a folder must be")
    assert carry_out(made, ALONE, CPU, never) == REFUSED
    assert any("cannot be claimed" in line for line in lines)


def test_a_task_that_fails_is_written_down_with_its_reason(job):
    made, _ = job
    missing = replace(made.run, problem=replace(made.run.problem, task="nowhere:TASK"))
    assert carry_out(replace_run(made, missing), ALONE, CPU, never) == FAILED
    (ended,) = made.store.endings(missing.id).values()
    assert (ended.kind, "No module named 'nowhere'" in ended.reason) == ("failed", True)


def replace_run(made: Job, run) -> Job:
    return Job(run, made.store, made.data, device="cpu", say=made.say)
