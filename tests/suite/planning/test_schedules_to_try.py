"""Schedules are hyperparameters that a grid may try."""

from __future__ import annotations

import re

import pytest

from optathlon.suite.errors import SweepError
from optathlon.suite.planning import sweep_reader
from tests.suite.planning.planned import planned
from tests.suite.sweeps import SWEEP

SCHEDULES = SWEEP.replace(
    "fixed.lr = 0.1", 'fixed.lr = 0.1\ngrid.protocol.schedule = [{kind = "cosine"}, {kind = "constant"}]'
)


def test_schedules_are_an_axis_of_the_grid_and_stand_in_the_rows_names(tmp_path):
    plan = planned(tmp_path, SCHEDULES)
    assert [row.name for row in plan.head.rows] == ["sgd schedule.kind=cosine", "sgd schedule.kind=constant", "adamw"]
    assert plan.head.rows[0].notes == ["protocol differs: schedule.kind = cosine"]
    kinds = {plan.head.settings[run.setting]["protocol"].get("schedule", {}).get("kind") for run in plan.runs}
    assert kinds == {"cosine", "constant", None}


def test_a_tuned_schedule_is_one_row_that_says_so(tmp_path):
    plan = planned(tmp_path, SCHEDULES.replace("[0, 1]", "{tune = [0], report = [1]}"))
    assert [row.name for row in plan.head.rows] == ["sgd (schedule tuned)", "adamw"]
    assert plan.head.baseline == "sgd (schedule tuned)"
    tried = {run.setting for run in plan.runs if run.row == "sgd (schedule tuned)" and run.role == "tune"}
    assert len(tried) == 2


def test_single_fields_of_a_schedule_are_axes_too_and_multiply_with_the_grid(tmp_path):
    text = SWEEP.replace("fixed.lr = 0.1", "grid.lr = [0.1, 0.2]\ngrid.protocol.schedule.warmup = [0, 1]")
    plan = planned(tmp_path, text)
    assert [row.name for row in plan.head.rows][:2] == ["sgd lr=0.1 schedule.warmup=0", "sgd lr=0.1 schedule.warmup=1"]
    assert len(plan.head.rows) == 5
    alone = planned(tmp_path, SWEEP.replace("fixed.lr = 0.1", "fixed.lr = 0.2\nprotocol.schedule.warmup = 1"))
    ids = {run.id for run in plan.runs if run.row == "sgd lr=0.2 schedule.warmup=1"}
    assert ids == {run.id for run in alone.runs if run.row == "sgd"}, "a schedule is the same run however it is written"


def test_schedules_of_another_scale_are_stretched(tmp_path):
    text = 'tasks = ["mtat"]\n[[optimizer]]\nname = "sgd"\nfixed.lr = 0.1\ngrid.protocol.schedule.warmup = [0, 50]\n'
    (path := tmp_path / "warm.toml").write_text(text)
    assert sweep_reader.load(path, "smoke").entries[0].schedules == ({"warmup": 0}, {"warmup": 3})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("grid.protocol.length = [1, 2]", "grid.protocol.length: unknown"),
        ("grid.protocol.schedule = 3", "grid.protocol.schedule: must be a list of schedules"),
        ("grid.protocol.schedule = []", "grid.protocol.schedule: must be a list of schedules"),
        ('grid.protocol.schedule = [{kind = "cosin"}]', "cosin"),
        ('grid.protocol.schedule = [{kind = "cosine"}, {kind = "cosine"}]', "are the same setting"),
    ],
)
def test_what_is_no_schedule_to_try_is_refused(line, expected, tmp_path):
    with pytest.raises(SweepError, match=re.escape(expected)):
        planned(tmp_path, SWEEP.replace("fixed.lr = 0.1", f"fixed.lr = 0.1\n{line}"))
