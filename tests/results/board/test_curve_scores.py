"""Scores that a printed table takes from curves."""

from __future__ import annotations

import pytest

from optathlon.results import Store, load_results
from optathlon.results.board.curve_scores import with_curve_scores
from optathlon.results.plan import Table, TableColumn, TableCurve, TableRow
from optathlon.results.record import Curve
from tests.results.make import DIVERGED, Sweep, laid_out, record, setting

NORMS = [(0.0, 1.0), (1.0, 2.0), (2.0, None), (3.0, 6.0)]


def column(name: str, at: float | str = "last", factor: float = 1.0, of: str = "mnist") -> TableColumn:
    curve = TableCurve(name=name, at=at, factor=factor)
    return TableColumn(
        label="norm", of=[of], metric="training/norm", unit="", higher_is_better=False, digits=2, curve=curve
    )


def norm(of: TableColumn, **changes) -> float | None:
    points = {"model/norm": NORMS, "model/share/0.1": [(0.0, 0.5), (1.0, 1.0)]}
    curved = record(curve=Curve(unit="epochs", points=points), **changes)
    (scored,) = with_curve_scores([curved], [of]).values()
    assert scored.curve == Curve(unit="epochs", points={})
    return next((score.value for score in scored.scores if score.name == "training/norm"), None)


def test_a_number_is_the_last_the_mean_or_that_of_a_time():
    assert norm(column("model/norm")) == 6.0
    assert norm(column("model/norm", "mean")) == 3.0
    assert norm(column("model/norm", 1.0)) == 2.0
    assert norm(column("model/norm", 1.5, 100.0)) == 600.0


def test_a_curve_is_named_by_a_hyperparameter():
    assert norm(column("model/share/{lr}", "mean")) == pytest.approx(0.75)


def test_a_run_without_the_curve_the_task_or_an_end_has_no_such_score():
    assert norm(column("model/other")) is None
    assert norm(column("model/share/{delta}")) is None
    assert norm(column("model/norm", of="ptb")) is None
    assert norm(column("model/norm"), test=DIVERGED) is None


def test_a_board_shows_them_with_mean_and_deviation(tmp_path):
    table = Table(columns=[column("model/norm", 1.0)], rows=[TableRow(label="SGD", row="sgd")])
    sweep = Sweep({"sgd": [setting("sgd")]}, report=(0, 1))
    store = Store(tmp_path / "store")
    for run in sweep.plan.runs:
        curve = Curve(unit="epochs", points={"model/norm": [(0.0, 9.0), (1.0, 2.0 + run.seed)]})
        store.commit(sweep.record(run, 50.0, curve=curve))
    store.put_plan(laid_out(sweep.plan, table), b"")
    cell = load_results(store, store.plan("sweep"), printed=True).board.rows[0].cells[0]
    assert (cell.mean, cell.std, cell.n) == (2.5, pytest.approx(0.5**0.5), 2)
