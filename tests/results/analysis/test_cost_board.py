"""Boards by cost: seconds to a target and memory, of what records hold, judged as scores are."""

from __future__ import annotations

import random

import pytest

from optathlon.results import leaderboard, render
from optathlon.results.analysis.cost_board import cost_board
from optathlon.results.board.plan_part import PlanPart
from optathlon.results.record import Curve
from tests.results.make import Sweep, setting

ROWS = {"sgd": (0.1, 4), "adam": (0.2, 3), "adamp": (0.15, 2)}
"""Seconds per update, and the epoch at which 60 % are reached."""
UPDATES, EPOCHS = 100, 5


def curve_of(reached: int | None) -> Curve:
    at = EPOCHS + 1 if reached is None else reached
    return Curve(unit="epochs", points={"validation/accuracy": [
        (float(t), 65.0 if t >= at else 50.0) for t in range(1, EPOCHS + 1)
    ]})  # fmt: skip


def looked(reached=None, cost=None, **options):
    """A whole board and its records. reached, cost: by (row, seed), instead of what ROWS says."""
    sweep = Sweep({row: [setting(row)] for row in ROWS}, **({"tasks": ("mnist", "ptb"), "baseline": "sgd"} | options))
    chance = random.Random(0)
    records = []
    for run in sweep.plan.runs:
        seconds, epoch = ROWS[run.row]
        held = {"seconds_per_update": seconds * (1 + 0.01 * chance.random()), "peak_gpu_memory_mb": 100 * seconds}
        provenance = {"cost": (cost or {}).get((run.row, run.seed), held), "machine": {"device": "H100"}}
        epoch = (reached or {}).get((run.row, run.seed), epoch)
        records.append(sweep.record(run, 65.0, curve=curve_of(epoch), provenance=provenance, updates=UPDATES))
    return sweep, leaderboard(sweep.plan, records), {record.id: record for record in records}


def test_time_is_the_updates_to_the_target_times_the_measured_seconds_per_update():
    _, board, records = looked()
    timed = cost_board(board, records, "time", {"mnist": 60.0, "ptb": 60.0})
    for row, (_, epoch) in ROWS.items():
        cell = timed.cell(row, "mnist")
        costs = [records[run].provenance["cost"]["seconds_per_update"] for run in cell.runs]
        assert cell.values == pytest.approx([epoch / EPOCHS * UPDATES * seconds for seconds in costs])
    faster, base = timed.cell("adamp", "mnist"), timed.cell("sgd", "mnist")
    assert (faster.rank, faster.delta, faster.p_holm < 0.05) == (1.0, pytest.approx(faster.mean - base.mean), True)
    column = timed.columns[0]
    assert (column.metric, column.unit, column.higher_is_better) == (
        "seconds to validation/accuracy 60.00", "s", False
    )  # fmt: skip


def test_without_a_target_it_is_that_of_the_row_that_ends_worst():
    _, board, records = looked()
    assert cost_board(board, records, "time").columns[0].metric == "seconds to validation/accuracy 65.00"


def test_memory_is_of_the_gpu_where_there_was_one_and_of_the_process_else():
    _, board, records = looked()
    taken = cost_board(board, records, "memory")
    assert [taken.cell(row, "ptb").mean for row in ROWS] == pytest.approx([10, 20, 15])
    assert (taken.columns[0].metric, taken.columns[0].unit) == ("memory", "MiB")
    for record in records.values():
        record.provenance["cost"].pop("peak_gpu_memory_mb")
        record.provenance["machine"]["peak_rss_mb"] = 512.0
    assert cost_board(board, records, "memory").cell("sgd", "ptb").mean == 512.0


def test_a_seed_that_never_gets_there_is_last_and_a_row_of_such_says_never():
    _, board, records = looked(reached={("adam", 11): None, **{("adamp", seed): None for seed in (10, 11, 12)}})
    timed = cost_board(board, records, "time", {"mnist": 60.0, "ptb": 60.0})
    some, none = timed.cell("adam", "mnist"), timed.cell("adamp", "mnist")
    assert (some.n, some.n_planned, some.delta, some.rank) == (2, 3, None, 2.0)
    assert some.notes == ["1 of 3 seeds never reached the target"]
    assert (none.mean, none.rank, none.notes) == (None, 3.0, ["3 of 3 seeds never reached the target"])
    table = render(timed)
    assert "never" in table
    assert "diverged" not in table


def test_rows_without_cost_say_so_and_are_not_ranked():
    _, board, records = looked(cost={("adam", 11): {}})
    timed = cost_board(board, records, "time", {"mnist": 60.0, "ptb": 60.0})
    assert timed.cell("adam", "mnist").notes == ["1 of 3 records hold no cost"]
    assert [timed.cell(row, "mnist").rank for row in ROWS] == [2.0, None, 1.0]


def test_unlike_devices_in_a_cell_are_named():
    _, board, records = looked()
    records[board.cell("adam", "mnist").runs[0]].provenance["machine"]["device"] = "A100"
    notes = cost_board(board, records, "memory").cell("adam", "mnist").notes
    assert "measured on unlike devices: A100, H100" in notes


def test_rows_measured_on_other_devices_are_told_apart_in_each_cell_of_the_column():
    _, board, records = looked()
    for run in board.cell("adam", "mnist").runs:
        records[run].provenance["machine"]["device"] = "A100"
    taken = cost_board(board, records, "memory")
    assert taken.cell("adam", "mnist").notes[0] == "measured on A100, other rows on H100"
    assert taken.cell("sgd", "mnist").notes[0] == "measured on H100, other rows on A100"
    assert not any("measured on" in note for note in taken.cell("sgd", "ptb").notes)


def test_a_part_is_shown_with_the_marks_of_the_whole():
    sweep, board, records = looked()
    part = leaderboard(sweep.plan, records, part=PlanPart(columns=["mnist"], rows=["sgd", "adamp"]))
    targets = {"mnist": 60.0, "ptb": 60.0}
    whole = cost_board(board, records, "time", targets)
    shown = cost_board(board, records, "time", targets, part)
    assert ([row.name for row in shown.rows], [c.name for c in shown.columns]) == (["sgd", "adamp"], ["mnist"])
    assert shown.cell("adamp", "mnist").p_holm == whole.cell("adamp", "mnist").p_holm
    assert (shown.cell("sgd", "mnist").rank, shown.family) == (2.0, whole.family)


def test_costs_of_what_each_seed_chose_for_itself_are_said_to_include_the_tuning():
    _, board, records = looked(tune=(0, 1, 2), tuning={10: (0,), 11: (1,), 12: (2,)})
    timed = cost_board(board, records, "time", {"mnist": 60.0, "ptb": 60.0})
    assert timed.cell("adam", "mnist").chosen == board.cell("adam", "mnist").chosen != {}
