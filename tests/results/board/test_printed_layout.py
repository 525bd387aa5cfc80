"""A printed table: chosen columns under their labels, with means over tasks taken seed by seed."""

from __future__ import annotations

import statistics

import msgspec
import pytest

from optathlon.results import Store, leaderboard, render
from optathlon.results.plan import Table, TableColumn, TableRow
from optathlon.results.record import Score
from tests.results.make import DIVERGED, Sweep, setting

TASKS = ("rho-1", "rho-2", "mnist")
ROWS = {"adam": [setting("adam")], "adamp": [setting("adamp")]}


def column(label, *of, metric="test/accuracy", digits=1):
    return TableColumn(label=label, of=list(of), metric=metric, unit="%", higher_is_better=True, digits=digits)


TABLE = Table(
    columns=[
        column("ρ = .1", "rho-1"),
        column("Avg.", "rho-1", "rho-2"),
        column("biased", "rho-1", metric="test/biased"),
    ],
    rows=[TableRow(label="AdamP (ours)", row="adamp"), TableRow(label="Adam", row="adam")],
)


def value(run):
    return {"rho-1": 10.0, "rho-2": 20.0, "mnist": 90.0}[run.column] + run.seed + 5 * (run.row == "adamp")


def built(values=value, table=TABLE, **options):
    sweep = Sweep(ROWS, tasks=TASKS, baseline="adam", **options)
    records = []
    for run in sweep.plan.runs:
        if (score := values(run)) is not None:
            record = sweep.record(run, score)
            biased = Score(name="test/biased", unit="%", higher_is_better=True, value=99.0 + run.seed)
            records.append(msgspec.structs.replace(record, scores=[*record.scores, biased]))
    plan = msgspec.structs.replace(sweep.plan, head=msgspec.structs.replace(sweep.plan.head, table=table))
    return plan, records


def test_rows_and_columns_are_those_of_the_table_under_its_labels():
    plan, records = built()
    board = leaderboard(plan, records, printed=True)
    assert [row.name for row in board.rows] == ["AdamP (ours)", "Adam"]
    assert [c.label for c in board.columns] == ["ρ = .1", "Avg.", "biased"]
    assert board.baseline == "Adam"
    assert board.cell("AdamP (ours)", "rho-1 test/biased").mean == pytest.approx(99 + 11)
    assert [c.digits for c in board.columns] == [1, 1, 1]


def test_a_mean_over_tasks_is_taken_per_seed_and_so_has_a_deviation_and_a_count():
    plan, records = built(lambda run: value(run) + (run.seed == 11) * (run.column == "rho-2"))
    cell = leaderboard(plan, records, printed=True).cell("Adam", "Avg.")
    per_seed = [15.0 + 10, 15.0 + 11 + 0.5, 15.0 + 12]
    assert cell.values == pytest.approx(per_seed)
    assert cell.std == pytest.approx(statistics.stdev(per_seed))
    assert (cell.n, cell.n_planned, cell.status, cell.seeds) == (3, 3, "complete", [10, 11, 12])
    assert cell.delta is None


def test_its_difference_is_tested_like_any_other():
    plan, records = built()
    board = leaderboard(plan, records, printed=True)
    assert board.cell("AdamP (ours)", "Avg.").delta == pytest.approx(5.0)
    assert board.cell("AdamP (ours)", "Avg.").p_holm is not None
    # The plan's own three columns, of which the table prints some, and the two that only the table has.
    assert (board.family, board.plan_shape) == (5, (2, 5))


def test_a_seed_that_lacks_a_task_or_diverged_on_one_has_no_mean():
    def gone(run):
        return None if (run.row, run.column, run.seed) == ("adam", "rho-2", 12) else value(run)

    plan, records = built(gone)
    cell = leaderboard(plan, records, printed=True).cell("Adam", "Avg.")
    assert (cell.status, cell.n, cell.n_planned, cell.rank) == ("incomplete", 2, 3, None)

    def lost(run):
        return DIVERGED if (run.row, run.column, run.seed) == ("adam", "rho-2", 12) else value(run)

    plan, records = built(lost)
    cell = leaderboard(plan, records, printed=True).cell("Adam", "Avg.")
    assert (cell.status, cell.n, cell.n_diverged, cell.values[2]) == ("complete", 2, 1, None)


def test_a_table_has_no_mean_rank_as_its_columns_repeat_tasks():
    plan, records = built()
    text = render(leaderboard(plan, records, printed=True))
    assert "mean rank" not in text
    assert "mean rank" in render(leaderboard(plan, records))


def test_the_plain_board_is_untouched_by_the_table():
    plan, records = built()
    bare, _ = built(table=msgspec.UNSET)
    assert leaderboard(plan, records) == leaderboard(bare, records)


def test_the_table_survives_the_store_and_plans_without_one_are_written_as_before(tmp_path):
    plan, _ = built()
    store = Store(tmp_path / "store")
    store.put_plan(plan, b"")
    assert store.plan("sweep").head.table == TABLE
    bare, _ = built(table=msgspec.UNSET)
    assert b'"table"' not in msgspec.json.encode(bare.head)


def test_tuned_cells_are_averaged_over_their_winners():
    rows = {"adam": [setting("adam", lr=0.1), setting("adam", lr=0.2)]}
    sweep = Sweep(rows, tasks=TASKS[:2], tune=[0], baseline="adam")
    best = {"rho-1": 0.1, "rho-2": 0.2}
    records = []
    for run in sweep.plan.runs:
        chosen = sweep.settings[run.setting]["hyperparameters"]["lr"] == best[run.column]
        records.append(sweep.record(run, 50.0 + run.seed if chosen else 0.0, validation=float(chosen)))
    table = Table(columns=[column("Avg.", "rho-1", "rho-2")], rows=[TableRow(label="Adam", row="adam")])
    plan = msgspec.structs.replace(sweep.plan, head=msgspec.structs.replace(sweep.plan.head, table=table))
    assert leaderboard(plan, records, printed=True).cell("Adam", "Avg.").mean == pytest.approx(61.0)
