"""What a task's runs measured beside scores stands folded on the page."""

from __future__ import annotations

import pytest

from optathlon.results.page import diagnostics as page_diagnostics
from optathlon.results.page.diagnostics import diagnostics
from optathlon.results.record import Curve
from tests.results.make import Sweep, setting
from tests.results.page.synthetic import report_of

NAMES = ("model/oscillation", "model/weight_norm", "model/layer1/weight_norm", "model/scale_invariant_norm")


@pytest.fixture(scope="module")
def report():
    sweep = Sweep({"sgd": [setting("sgd")], "adam": [setting("adam")]}, report=(0, 1), baseline="sgd")
    records = []
    for run in sweep.plan.runs:
        points = {name: [(0.0, 1.0), (10.0, 2.0 + run.seed)] for name in NAMES}
        points |= {"train/loss": [(0.0, 1.0)], "test/accuracy": [(10.0, 50.0)]}
        records.append(sweep.record(run, 50.0, curve=Curve(unit="epochs", points=points)))
    return report_of(sweep, records)


def captions(report) -> list[str]:
    drawn = str(diagnostics(report, report.board.columns[0]))
    return [part.partition("</b>")[0] for part in drawn.split("<b>")[1:]]


def test_there_is_a_figure_for_each_quantity_that_is_no_score(report):
    assert captions(report) == [
        "model/scale_invariant_norm", "model/weight_norm", "model/oscillation", "model/layer1/weight_norm",
    ]  # fmt: skip
    assert "sgd 2.5" in str(diagnostics(report, report.board.columns[0]))


def test_of_many_the_last_are_named(report, monkeypatch):
    monkeypatch.setattr(page_diagnostics, "MOST", 1)
    assert captions(report) == ["model/scale_invariant_norm"]
    rest = "Not drawn here: model/weight_norm, model/oscillation, model/layer1/weight_norm"
    assert rest in str(diagnostics(report, report.board.columns[0]))


def test_runs_that_measured_nothing_have_no_figures():
    sweep = Sweep({"sgd": [setting("sgd")]}, report=(0, 1))
    assert diagnostics(report_of(sweep, sweep.records(lambda run: 50.0)), sweep.plan.head.columns[0]) is None
