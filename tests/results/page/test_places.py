"""Names on the page: ids that are unique and stay the same, colors that belong to a row wherever it is drawn."""

from __future__ import annotations

import pytest

from tests.results.page.synthetic import outcomes, report_of, sweep


@pytest.mark.parametrize(
    ("tasks", "anchors"),
    [
        (["ptb-awd-lstm", "mnist"], ["task-ptb-awd-lstm", "task-mnist"]),
        (["a b", "a-b", "A.B", "a-b-2"], ["task-a-b", "task-a-b-2", "task-a-b-3", "task-a-b-2-2"]),
        (["∂", "Ω"], ["task-task", "task-task-2"]),
    ],
)
def test_tasks_have_readable_anchors_of_their_own(tasks, anchors):
    report = report_of(sweep(("sgd",), tasks, tune=()), [])
    assert list(report.anchors.values()) == anchors


def test_each_line_has_an_anchor_of_its_own():
    of = sweep(tune=())
    report = report_of(of, [])
    found = [report.anchor(row.name, column.name) for row in report.rows for column in report.board.columns]
    assert len(found) == len(set(found)) == 15


def test_the_baseline_and_the_best_rows_have_colors():
    rows = [f"o{i}" for i in range(10)]
    of = sweep(rows, ["a", "b"], tune=(), baseline="o9")
    better = {(row, task): 10.0 * i for i, row in enumerate(rows) for task in ("a", "b")}
    report = report_of(of, outcomes(of, points=3, better=better))
    assert report.colors == {"o9": 0, "o8": 1, "o7": 2, "o6": 3, "o5": 4, "o4": 5, "o3": 6, "o2": 7}
    without = report_of(sweep(rows, ["a", "b"], tune=(), baseline=None), [])
    assert set(without.colors.values()) == set(range(1, 8))


def test_rows_that_lack_a_task_stand_below_the_others():
    of = sweep(("sgd", "adam", "lion"), ["a", "b"], tune=())
    better = {("sgd", "a"): 50.0, ("sgd", "b"): 50.0, ("lion", "a"): 9.0, ("lion", "b"): 9.0}
    report = report_of(of, outcomes(of, points=3, better=better, missing=[("sgd", "b", 10)]))
    assert [row.name for row in report.rows] == ["lion", "adam", "sgd"]
