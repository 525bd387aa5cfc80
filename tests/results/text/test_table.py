"""A board on a terminal: whole where it fits, else split by tasks or with tasks as rows, and never wider."""

from __future__ import annotations

import msgspec
import pytest

from optathlon.results import leaderboard, render
from optathlon.results.board.reference_rows import ReferenceRow
from optathlon.results.text.columns import cells
from tests.results.make import Sweep, setting

TASKS = [f"task-number-{i}" for i in range(14)]


def make(rows, tasks=TASKS):
    sweep = Sweep({row: [setting(row)] for row in rows}, tasks=tasks, report=range(3), baseline=rows[0], scale="smoke")
    values = {run.id: 50.0 + index % 7 for index, run in enumerate(sweep.plan.runs)}
    return leaderboard(sweep.plan, sweep.records(lambda run: values[run.id]))


@pytest.fixture(scope="module")
def wide():
    return make(["sgd", "adamw"])


@pytest.mark.parametrize("width", [30, 50, 80, 100, 151, 400])
def test_no_line_is_wider_than_the_terminal_and_no_cell_is_lost(wide, width):
    text = render(wide, width=width)
    assert max(map(cells, text.splitlines())) <= width
    assert text.count("±") == render(wide).count("±")
    assert text.count(" *") == render(wide).count(" *")


def test_where_it_fits_it_is_as_it_is_in_a_file(wide):
    assert render(wide, width=1000) == render(wide)


def test_many_tasks_and_few_rows_are_shown_with_tasks_as_rows(wide):
    lines = render(wide, width=80).splitlines()
    assert lines[0].split() == ["task", "sgd", "adamw"]
    assert len([line for line in lines if line.startswith("mean rank  ")]) == 1
    assert sum(line.startswith("task-number-3 ") for line in lines) == 1


def test_many_rows_are_split_by_tasks_and_each_block_names_the_rows():
    rows = [f"optimizer-{i}" for i in range(12)]
    lines = render(make(rows, TASKS[:6]), width=80).splitlines()
    heads = [line for line in lines if line.startswith("optimizer ")]
    assert len(heads) >= 2
    assert sum(line.startswith("optimizer-7 ") for line in lines) == len(heads)


def test_a_block_of_mean_ranks_alone_has_one_head_line():
    board = make([f"optimizer-{i}" for i in range(12)], TASKS[:3])
    for width in range(40, 140, 5):
        lines = render(board, width=width).splitlines()
        rules = [i for i, line in enumerate(lines) if set(line) == {"-", " "}]
        assert all(lines[i - 1].strip() for i in rules[::2]), width
        alone = [i for i, line in enumerate(lines) if line.split() == ["optimizer", "mean", "rank"]]
        assert all(lines[i + 1].startswith("---") for i in alone)


def test_a_block_leaves_out_the_reference_models_of_other_tasks(wide):
    chance = ReferenceRow(name="chance", values=[10.0, *[None] * 13])
    many = make([f"optimizer-{i}" for i in range(5)])
    lines = render(msgspec.structs.replace(many, references=[chance]), width=80).splitlines()
    assert sum(line.startswith("chance (no optimizer)") for line in lines) == 1
