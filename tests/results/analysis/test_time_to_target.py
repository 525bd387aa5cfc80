"""The time to a target, over seeds and tasks: what is never reached is infinite, and nobody is left out of a share."""

from __future__ import annotations

import random

import msgspec
import pytest

from optathlon.results import leaderboard
from optathlon.results.analysis.time_to_target import times
from optathlon.results.record import Curve
from optathlon.results.statistics.speedup import speed_up
from optathlon.results.statistics.targets import algoperf_score, time_ratios
from tests.results.make import DIVERGED, Sweep, setting

ROWS = {name: [setting(name)] for name in ("sgd", "adam", "slow")}


def built(scores, tasks=("mnist",), seeds=(0, 1, 2), rows=ROWS, missing=()):
    """A board and its records; scores(row, task, seed): the validation accuracy after each epoch, or DIVERGED."""
    sweep = Sweep(rows, tasks=tasks, report=seeds, baseline="sgd")
    records = {}
    for run in sweep.plan.runs:
        if (run.row, run.column) in missing:
            continue
        values = scores(run.row, run.column, run.seed)
        points = [] if values == DIVERGED else [(float(e), v) for e, v in enumerate(values, start=1)]
        curve = Curve(unit="epochs", points={"validation/accuracy": points, "train/loss": [(1.0, 1.0)]})
        records[run.id] = sweep.record(run, DIVERGED if values == DIVERGED else values[-1], curve=curve)
    return leaderboard(sweep.plan, records.values()), records


def steady(row, task, seed):
    """sgd reaches 10 after ten epochs, adam twice as fast, slow never."""
    step = {"sgd": 1.0, "adam": 2.0, "slow": 0.5}[row]
    return [step * epoch for epoch in range(1, 11)]


def test_times_ratios_score_and_speed_up_are_those_of_the_statistics():
    board, records = built(steady, ("mnist", "ptb"))
    found = times(board, records, {"mnist": 10.0, "ptb": 10.0})
    rows = {row.name: row for row in found.rows}
    assert [(t.curve, t.value, t.unit, t.longest) for t in found.targets] == [
        ("validation/accuracy", 10.0, "epochs", 10.0)
    ] * 2
    assert {name: row.times for name, row in rows.items()} == {
        "adam": [5.0, 5.0],
        "sgd": [10.0, 10.0],
        "slow": [None, None],
    }
    reached = {"adam": [5.0, 5.0], "sgd": [10.0, 10.0], "slow": [float("inf")] * 2}
    ratios = time_ratios(reached)
    assert rows["sgd"].ratios == ratios["sgd"] == [2.0, 2.0]
    assert rows["sgd"].score == algoperf_score(ratios["sgd"]) == pytest.approx(2 / 3)
    assert (rows["adam"].score, rows["slow"].score) == (1.0, 0.0)
    assert rows["adam"].speed_up == speed_up([10.0] * 2, [5.0] * 2, [10.0] * 2) == pytest.approx(2.0)
    assert rows["slow"].speed_up == pytest.approx(10 / 11)
    assert rows["sgd"].speed_up is None


def test_a_target_may_be_given_and_knows_no_optimizer():
    board, records = built(steady)
    rows = {row.name: row.times for row in times(board, records, {"mnist": 4.0}).rows}
    assert rows == {"adam": [2.0], "sgd": [4.0], "slow": [8.0]}


@pytest.mark.parametrize("seeds", [(0, 1), (0, 1, 2), (0, 1, 2, 3)])
def test_the_target_is_what_most_seeds_of_the_row_that_ends_worst_end_with(seeds):
    ahead = {"sgd": 3.0, "adam": 5.0, "slow": 0.0}
    board, records = built(lambda row, task, seed: [1.0, 5.0, 7.0 + seed + ahead[row]], seeds=seeds)
    found = times(board, records)
    (target,) = found.targets
    assert target.value == 7.0 + (len(seeds) - 1) // 2
    assert {row.name: row.times for row in found.rows} == {name: [3.0] for name in ahead}


@pytest.mark.slow
def test_of_equal_rows_the_baseline_is_first_as_often_as_any():
    chance = random.Random(0)
    first = 0
    for _ in range(60):

        def noisy(row, task, seed):
            return [epoch + chance.gauss(0, 1) for epoch in range(1, 21)]

        board, records = built(noisy, seeds=(0, 1, 2))
        of = {row.name: row.times[0] for row in times(board, records).rows}
        assert None not in of.values()
        first += of["sgd"] < min(of["adam"], of["slow"])
    assert first <= 0.55 * 60


def test_the_median_seed_counts_and_one_that_diverged_never_arrives():
    board, records = built(lambda row, task, seed: DIVERGED if (row, seed) == ("adam", 0) else steady(row, task, seed))
    assert {row.name: row.times for row in times(board, records, {"mnist": 10.0}).rows}["adam"] == [5.0]
    board, records = built(lambda row, task, seed: DIVERGED if row == "adam" and seed < 2 else steady(row, task, seed))
    assert {row.name: row.times for row in times(board, records, {"mnist": 10.0}).rows}["adam"] == [None]


def test_what_cannot_be_timed_is_left_out_by_name():
    board, records = built(steady, ("mnist", "ptb"), missing={("slow", "ptb")})
    found = times(board, records)
    assert (found.left_out, [row.name for row in found.rows]) == ({"slow": "lacks a task"}, ["adam", "sgd"])
    board, records = built(lambda row, task, seed: DIVERGED if seed == 1 else steady(row, task, seed))
    (why,) = times(board, records).left_out.values()
    assert "give a --target" in why
    board, records = built(steady)
    nothing = Curve(unit="epochs", points={})
    bare = {run: msgspec.structs.replace(record, curve=nothing) for run, record in records.items()}
    (why,) = times(board, bare).left_out.values()
    assert "no run measured" in why


def test_another_optimizer_changes_no_time_to_a_given_target():
    targets = {"mnist": 10.0}
    board, records = built(steady)
    few, of_few = built(steady, rows={name: ROWS[name] for name in ("sgd", "adam")})
    more = {row.name: row.times for row in times(board, records, targets).rows}
    assert {row.name: row.times for row in times(few, of_few, targets).rows} == {
        name: more[name] for name in ("sgd", "adam")
    }
