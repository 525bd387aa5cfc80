"""A paper's numbers in the cells of the table that is laid out as the paper's."""

from __future__ import annotations

import msgspec
import pytest

from optathlon.results import leaderboard, render
from optathlon.results.board.cell import PaperNumber
from optathlon.results.papers.beside import with_published
from optathlon.results.papers.published import Published
from optathlon.results.plan import Table, TableColumn, TableRow
from tests.results.make import Sweep, laid_out, setting

TASKS = ("rho-1", "rho-2")


def number(mean: float, task: str = "rho-1", optimizer: str = "sgd", **more) -> Published:
    words = {"setting": {}, "metric": "accuracy", "unit": "%", "std": None, "n": None, "table": "T", "note": ""}
    return Published(task=task, optimizer=optimizer, mean=mean, **{**words, **more})


def column(label: str, *of: str) -> TableColumn:
    return TableColumn(label=label, of=list(of), metric="test/accuracy", unit="%", higher_is_better=True, digits=1)


@pytest.fixture(scope="module")
def sweep():
    rows = {"sgd": [setting("sgd", lr=0.1)], "fast": [setting("sgd", lr=1.0)], "adam": [setting("adam")]}
    return Sweep(rows, tasks=TASKS, baseline="sgd", scale="paper")


def board(sweep, numbers, published="T", across=msgspec.UNSET):
    columns = [column("ρ = 1", "rho-1"), column("avg.", *reversed(TASKS))]
    rows = [TableRow(label=name.upper(), row=name) for name in ("sgd", "fast", "adam")]
    plan = laid_out(sweep.plan, Table(columns=columns, rows=rows, published=published, across=across))
    records = sweep.records(lambda run: 50.0 + run.seed)
    return with_published(leaderboard(plan, records, printed=True), plan, numbers)


def cells(shown) -> dict[str, list[list[float]]]:
    return {row.name: [[n.mean for n in cell.published] for cell in row.cells] for row in shown.rows}


def test_a_number_stands_in_the_cells_of_its_task_optimizer_and_setting(sweep):
    theirs = [number(70.0), number(71.0, setting={"lr": 1.0}), number(60.0, optimizer="adam"), number(9.0, table="U")]
    assert cells(board(sweep, theirs)) == {"SGD": [[70.0], []], "FAST": [[71.0], []], "ADAM": [[60.0], []]}


def test_an_average_over_tasks_stands_in_the_column_of_their_mean(sweep):
    theirs = [number(1.0), number(2.0, task="rho-2"), number(1.5, task="rho", note="average of the two")]
    assert cells(board(sweep, theirs))["SGD"] == [[1.0], [1.5]]


def test_what_has_no_row_is_said_below(sweep):
    shown = board(sweep, [number(70.0), number(45.8, optimizer="lion", note="as given by them")])
    assert shown.only_published == ["lion on rho-1, accuracy: 45.8 (as given by them)"]
    assert "T has beside: lion on rho-1, accuracy: 45.8 (as given by them)" in render(shown)


def test_a_table_that_names_no_papers_is_as_it_was(sweep):
    assert cells(board(sweep, [number(70.0)], published=msgspec.UNSET))["SGD"] == [[], []]


def test_every_format_that_is_read_shows_it_beside_ours(sweep):
    shown = board(sweep, [number(70.0, std=0.25), number(-1.0, optimizer="adam", note="printed as 1")])
    assert shown.rows[0].cells[0].published == [PaperNumber(mean=70.0, std=0.25)]
    for text in (render(shown), render(shown, "md")):
        assert "[70.0 ± 0.2]" in text
        assert "[-1.0 ¹]" in text
        assert "[ ] as published: T" in text
    assert r"{\footnotesize[70.0 $\pm$ 0.2]}" in render(shown, "latex")
    assert r"[$-$1.0\textsuperscript{1}]" in render(shown, "latex")


def test_optimizers_stand_side_by_side_where_the_paper_has_them_so(sweep):
    shown = board(sweep, [number(70.0)], across="optimizers")
    head, _, first, *_ = render(shown).splitlines()
    assert head.split() == ["task", "SGD", "FAST", "ADAM"]
    assert first.startswith("ρ = 1 test/accuracy (%) ↑")
    assert render(shown, "md").splitlines()[:2] == ["| task | SGD | FAST | ADAM |", "| :-- | --: | --: | --: |"]
    lines = render(shown, "latex").splitlines()
    assert r"Task & SGD & FAST & ADAM \\" in lines
    assert sum(line.count("&") == 3 for line in lines) == 3
    assert sum(line == r"\midrule" for line in lines) == 1
