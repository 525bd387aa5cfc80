"""What a board says is proven: by Welch against the baseline, Holm over all it shows."""

from __future__ import annotations

import random

import pytest
import scipy.stats

from optathlon.results import leaderboard
from tests.results.make import DIVERGED, Sweep, setting

NAMES = ("sgd", "adam", "adamp", "lion")


def board_of(value, names=NAMES, tasks=("mnist", "ptb"), seeds=range(3)):
    """The board of `value(row, column, seed)`, None where there is no record; the baseline is sgd."""
    sweep = Sweep({name: [setting(name)] for name in names}, tasks=tasks, report=tuple(seeds), baseline="sgd")
    return leaderboard(sweep.plan, sweep.records(lambda r: value(r.row, r.column, r.seed)))


def cells(board):
    return {(row.name, c.name): cell for row in board.rows for c, cell in zip(board.columns, row.cells, strict=True)}


def noise(*key):
    """One number of N(0, 1) for each row, column and seed."""
    return random.Random(repr(key)).gauss(0, 1)


def simulated(chance, effects, tasks=("mnist", "ptb"), seeds=5):
    return board_of(
        lambda row, column, seed: chance.gauss(effects.get(row, 0.0), 1.0), tuple(effects), tasks, range(seeds)
    )


def test_a_cells_interval_and_p_are_welchs():
    chance = random.Random(0)
    board = simulated(chance, dict.fromkeys(NAMES, 0.0))
    for (row, column), cell in cells(board).items():
        if row == "sgd":
            assert (cell.delta, cell.delta_lo, cell.delta_hi, cell.p, cell.p_holm) == (None,) * 5
            continue
        expected = scipy.stats.ttest_ind(cell.values, board.cell("sgd", column).values, equal_var=False)
        interval = expected.confidence_interval()
        assert cell.p == pytest.approx(expected.pvalue)
        assert (cell.delta_lo, cell.delta_hi) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_holms_family_is_every_comparison_with_the_baseline_on_the_board():
    board = simulated(random.Random(1), {"sgd": 0.0, "adam": 3.0, "adamp": 1.0, "lion": 0.0})
    compared = [c for c in cells(board).values() if c.p is not None]
    assert board.family == len(compared) == 3 * 2
    smallest = min(compared, key=lambda c: c.p)
    assert smallest.p_holm == pytest.approx(6 * smallest.p)
    assert all(c.p <= c.p_holm <= 1 for c in compared)


def test_another_optimizer_may_change_p_holm_and_nothing_else_of_a_cell_but_its_place():
    values = {
        (r, c, s): random.Random(f"{r}{c}{s}").gauss(0, 1) for r in NAMES for c in ("mnist", "ptb") for s in range(3)
    }
    few = cells(board_of(lambda *key: values[key], NAMES[:3]))
    more = cells(board_of(lambda *key: values[key]))
    for key, cell in few.items():
        for field in ("mean", "std", "min", "max", "delta", "delta_lo", "delta_hi", "p", "n", "values", "seeds"):
            assert getattr(cell, field) == getattr(more[key], field)
    assert any(cell.p_holm != more[key].p_holm for key, cell in few.items())


def test_another_task_changes_no_tie():
    values = {
        (r, c, s): random.Random(f"{r}{c}{s}").gauss(0, 1) for r in NAMES for c in ("mnist", "ptb") for s in range(3)
    }
    one = cells(board_of(lambda *key: values[key], tasks=("mnist",)))
    both = cells(board_of(lambda *key: values[key]))
    assert all(
        (cell.best, cell.tied, cell.rank) == (both[k].best, both[k].tied, both[k].rank) for k, cell in one.items()
    )


def test_nothing_is_tested_before_all_seeds_are_done_or_over_survivors():
    def value(row, column, seed):
        return {("adam", 0): None, ("adamp", 0): DIVERGED}.get((row, seed), random.Random(f"{row}{seed}").random())

    found = cells(board_of(value, tasks=("mnist",)))
    assert found["adam", "mnist"].delta is not None
    assert found["adamp", "mnist"].delta is None
    for row in ("adam", "adamp"):
        assert (found[row, "mnist"].p, found[row, "mnist"].delta_lo, found[row, "mnist"].tied) == (None, None, False)
    assert found["lion", "mnist"].p is not None


def test_an_unfinished_baseline_tests_nothing():
    board = board_of(lambda row, column, seed: None if (row, seed) == ("sgd", 0) else random.Random(seed).random())
    assert board.family == 0


def test_what_is_far_behind_the_best_is_not_tied_with_it():
    board = simulated(random.Random(2), {"sgd": 0.0, "adam": 9.0}, ("mnist",))
    assert board.cell("adam", "mnist").best
    assert board.cell("adam", "mnist").tied
    assert not board.cell("sgd", "mnist").tied
    assert board.cell("adam", "mnist").delta > 0


def test_values_stand_beside_their_seeds():
    board = board_of(lambda row, column, seed: DIVERGED if seed == 1 else float(seed), tasks=("mnist",))
    cell = board.cell("sgd", "mnist")
    assert dict(zip(cell.seeds, cell.values, strict=True)) == {0: 0.0, 1: None, 2: 2.0}
    assert cell.finite == [0.0, 2.0]


def test_boards_of_equal_optimizers_have_a_dagger_in_one_of_twenty_at_most():
    chance = random.Random(3)
    effects = dict.fromkeys(NAMES, 0.0)
    false = 0
    for _ in range(150):
        false += any(c.p_holm is not None and c.p_holm < 0.05 for c in cells(simulated(chance, effects)).values())
    assert false <= 0.09 * 150


def test_one_that_is_better_by_two_sigma_is_found_with_ten_seeds_and_the_others_are_not():
    chance = random.Random(4)
    found = wrong = 0
    for _ in range(60):
        board = cells(simulated(chance, {"sgd": 0.0, "adam": 2.0, "adamp": 0.0}, ("mnist",), seeds=10))
        adam = board["adam", "mnist"]
        found += adam.p_holm < 0.05 and adam.best and not board["sgd", "mnist"].tied
        wrong += board["adamp", "mnist"].p_holm < 0.05
    assert found >= 50
    assert wrong <= 6


def test_one_that_diverges_now_and_then_is_never_called_better_and_costs_the_others_nothing():
    chance = random.Random(5)
    for _ in range(20):
        values = {(r, s): chance.gauss(0, 1) for r in NAMES for s in range(5)}

        def value(row, column, seed, values=values):
            return DIVERGED if row == "lion" and seed == 2 else values[row, seed] + (5 if row == "lion" else 0)

        board = cells(board_of(value, tasks=("mnist",), seeds=range(5)))
        without = cells(board_of(value, NAMES[:3], ("mnist",), range(5)))
        assert board["lion", "mnist"].p_holm is None
        assert board["lion", "mnist"].rank == 4
        assert all(board[key] == cell for key, cell in without.items())
