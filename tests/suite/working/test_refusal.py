"""A machine carries out what was planned, or says why it must not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand, run_of
from optathlon.suite.user_modules import look_beside
from optathlon.suite.working.refusal import refusal, refusal_or_error
from tests.suite.sweeps import HERE, write

look_beside(HERE)


@pytest.fixture
def run(tmp_path):
    """A planned run of the toy task by sgd."""
    plan = expand(sweep_reader.load(write(tmp_path)), tmp_path)
    return run_of(plan, plan.runs[0])


def test_what_is_here_as_it_was_planned_is_carried_out(run, tmp_path):
    assert refusal(run, tmp_path) is None
    assert refusal_or_error(run, tmp_path) is None


def test_another_version_of_the_task_is_named_with_both(run, tmp_path):
    other = replace(run, problem=replace(run.problem, version="old"))
    assert refusal(other, tmp_path) == (
        f"task toy:TASK is version {run.problem.version} here, planned was old; launch the sweep again"
    )


def test_another_version_of_the_optimizer_is_named_with_both(run, tmp_path):
    other = replace(run, setting=replace(run.setting, version=99))
    assert refusal(other, tmp_path) == (
        f"optimizer sgd is version {run.setting.version} here, planned was 99; launch the sweep again"
    )


def test_data_of_another_edition_are_named_with_both(run, tmp_path):
    other = replace(run, problem=replace(run.problem, data={"mnist": "miniature-1"}))
    assert refusal(other, tmp_path) == (
        f"data set mnist in {tmp_path} is edition official, planned was miniature-1; launch the sweep again"
    )


def test_updates_that_processes_cannot_share_are_refused(run, tmp_path):
    assert refusal(run, tmp_path, world=2) is None
    assert refusal(run, tmp_path, world=4) == (
        "an update of 16 in micro-batches of 8 cannot be shared by 4 processes; protocol.micro_batch=4 can, as a "
        "problem of its own (batch statistics are a micro-batch's)"
    )


def test_an_error_on_the_way_is_a_reason_and_stops_no_other_run(run, tmp_path):
    lost = replace(run, problem=replace(run.problem, task="nowhere:TASK"))
    why = refusal_or_error(lost, tmp_path)
    assert why is not None
    assert why.startswith("TaskError: nowhere:TASK: No module named 'nowhere'")
