"""What a board says is proven: by one method (docs/statistics.md), Holm over the whole plan."""

from __future__ import annotations

import random

import numpy as np
import pytest
import scipy.stats

from optathlon.results import leaderboard
from optathlon.results.statistics.moderated.board_tests import BoardTests
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


def test_a_cells_interval_and_p_are_those_of_the_boards_noise_and_welchs_stands_beside():
    board = simulated(random.Random(0), dict.fromkeys(NAMES, 0.0))
    scores = np.array([[cell.values for cell in row.cells] for row in board.rows])
    tests = BoardTests(scores)
    comparisons, half_widths = tests.against_baseline(), tests.half_widths()
    for i, row in enumerate(board.rows):
        for j, cell in enumerate(row.cells):
            if i == 0:
                assert (cell.delta, cell.delta_lo, cell.delta_hi, cell.p, cell.p_holm, cell.p_welch) == (None,) * 6
                continue
            expected = scipy.stats.ttest_ind(cell.values, board.rows[0].cells[j].values, equal_var=False)
            assert cell.p_welch == pytest.approx(expected.pvalue)
            assert cell.p == pytest.approx(comparisons.p[i, j])
            assert cell.p_holm == pytest.approx(comparisons.p_holm[i, j])
            half = half_widths[i, j]
            assert (cell.delta_lo, cell.delta_hi) == pytest.approx((cell.delta - half, cell.delta + half))


def test_p_is_the_same_whatever_the_direction_the_unit_and_the_order_of_the_rows():
    board = simulated(random.Random(7), {"sgd": 0.0, "adam": 2.0, "adamp": 0.0})
    scores = {
        (row.name, c.name): cell.values for row in board.rows for c, cell in zip(board.columns, row.cells, strict=True)
    }
    for turn in (lambda value: -value, lambda value: 1e-150 * value, lambda value: 1e90 * value):
        other = board_of(lambda r, c, s, turn=turn: turn(scores[r, c][s]), ("adamp", "sgd", "adam"), seeds=range(5))
        for row in ("adam", "adamp"):
            for column in ("mnist", "ptb"):
                assert other.cell(row, column).p == pytest.approx(board.cell(row, column).p, rel=1e-6)


def test_a_cell_without_spread_has_no_mark_and_says_why():
    values = {"sgd": [100.0] * 3, "adam": [70.0] * 3, "adamp": [98.83] * 3, "lion": [60.0, 61.0, 62.5]}
    board = board_of(lambda row, column, seed: values[row][seed], tasks=("mnist",))
    for name in ("adam", "adamp"):
        cell = board.cell(name, "mnist")
        assert (cell.p, cell.p_holm, cell.tied, cell.untested) == (None, None, False, "no spread over seeds")
        assert "not tested: no spread over seeds" in cell.notes
    assert board.cell("lion", "mnist").untested == "no spread over seeds of the baseline"
    assert (board.cell("sgd", "mnist").best, board.family) == (True, 0)


def test_seeds_that_collapse_are_found_and_no_difference_that_they_make_is_believed():
    chance = random.Random(11)

    def value(row, column, seed):
        return chance.gauss(70, 0.3) - 20 * (chance.random() < 0.2)

    board = board_of(value, NAMES, tuple(f"task-{i}" for i in range(8)), range(3))
    assert board.collapsing
    assert {cell.p for cell in cells(board).values() if cell.refused} == {1.0}
    calm = board_of(lambda row, column, seed: chance.gauss(70, 0.3), NAMES, tuple(f"task-{i}" for i in range(8)))
    assert not calm.collapsing


def test_holms_family_is_every_comparison_with_the_baseline_on_the_board():
    board = simulated(random.Random(1), {"sgd": 0.0, "adam": 3.0, "adamp": 1.0, "lion": 0.0})
    compared = [c for c in cells(board).values() if c.p is not None]
    assert board.family == len(compared) == 3 * 2
    smallest = min(compared, key=lambda c: c.p)
    assert smallest.p_holm == pytest.approx(6 * smallest.p)
    assert all(c.p <= c.p_holm <= 1 for c in compared)


def test_another_optimizer_changes_no_mean_deviation_count_or_difference():
    values = {
        (r, c, s): random.Random(f"{r}{c}{s}").gauss(0, 1) for r in NAMES for c in ("mnist", "ptb") for s in range(3)
    }
    few = cells(board_of(lambda *key: values[key], NAMES[:3]))
    more = cells(board_of(lambda *key: values[key]))
    for key, cell in few.items():
        for field in ("mean", "std", "min", "max", "delta", "p_welch", "n", "values", "seeds"):
            assert getattr(cell, field) == getattr(more[key], field)
    assert any(cell.p_holm != more[key].p_holm for key, cell in few.items())


def test_nothing_is_tested_before_all_seeds_are_done_or_over_survivors():
    def value(row, column, seed):
        return {("adam", 0): None, ("adamp", 0): DIVERGED}.get((row, seed), random.Random(f"{row}{seed}").random())

    judged = cells(board_of(value, tasks=("mnist",)))
    assert judged["adam", "mnist"].delta is not None
    assert judged["adamp", "mnist"].delta is None
    for row in ("adam", "adamp"):
        assert (judged[row, "mnist"].p, judged[row, "mnist"].delta_lo, judged[row, "mnist"].tied) == (None, None, False)
    assert judged["lion", "mnist"].p is not None


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
    for _ in range(25):
        false += any(c.p_holm is not None and c.p_holm < 0.05 for c in cells(simulated(chance, effects)).values())
    assert false <= 5


def test_one_that_is_better_by_two_sigma_is_found_with_ten_seeds_and_the_others_are_not():
    chance = random.Random(4)
    right = wrong = 0
    for _ in range(30):
        board = cells(simulated(chance, {"sgd": 0.0, "adam": 2.0, "adamp": 0.0}, ("mnist",), seeds=10))
        adam = board["adam", "mnist"]
        right += adam.p_holm < 0.05 and adam.best and not board["sgd", "mnist"].tied
        wrong += board["adamp", "mnist"].p_holm < 0.05
    assert right >= 24
    assert wrong <= 4


def test_one_that_diverges_now_and_then_is_never_called_better_and_costs_the_others_no_p():
    chance = random.Random(5)
    for _ in range(20):
        values = {(r, s): chance.gauss(0, 1) for r in NAMES for s in range(5)}

        def value(row, column, seed, values=values):
            return DIVERGED if row == "lion" and seed == 2 else values[row, seed] + (5 if row == "lion" else 0)

        board = cells(board_of(value, tasks=("mnist",), seeds=range(5)))
        without = cells(board_of(value, NAMES[:3], ("mnist",), range(5)))
        assert board["lion", "mnist"].p_holm is None
        assert board["lion", "mnist"].rank == 4
        assert all(board[key].p == pytest.approx(cell.p) for key, cell in without.items() if cell.p is not None)
