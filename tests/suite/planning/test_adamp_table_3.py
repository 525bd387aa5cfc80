"""The sweep of AdamP's table 3 asks for what the paper prints: its rows, its columns, its rates."""

from __future__ import annotations

from pathlib import Path

from optathlon.results.papers.published import published
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand


def test_rows_and_columns_are_those_of_the_published_table(tmp_path: Path) -> None:
    plan = expand(sweep_reader.load(sweep_reader.find("adamp/table-3")), tmp_path)
    printed = {(line.task, line.optimizer) for line in published() if line.table == "AdamP Table 3"}
    assert len(printed) == 8
    assert {(run.column, run.row) for run in plan.runs} == printed
    assert len(plan.runs) == 3 * len(printed)


def test_rates_and_decay_are_those_of_appendix_e_3(tmp_path: Path) -> None:
    plan = expand(sweep_reader.load(sweep_reader.find("adamp/table-3")), tmp_path)
    rates = set()
    for run in plan.runs:
        values = plan.head.settings[run.setting]["hyperparameters"]
        assert values["weight_decay"] == 1e-5
        rates.add((run.column.split("-")[1], values["lr"]))
    assert rates == {("centernet", 2.5e-4), ("ssd", 1e-4)}
