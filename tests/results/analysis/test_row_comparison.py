"""Two rows: per task by independent and by paired tests, and over tasks; and the seeds that would decide them."""

from __future__ import annotations

import random

import pytest
import scipy.stats

from optathlon.results import StoreError, leaderboard
from optathlon.results.analysis.row_comparison import compare, compare_all
from optathlon.results.analysis.seeds_needed import needs
from tests.results.make import DIVERGED, Sweep, setting

TASKS = tuple(f"task-{i}" for i in range(8))


def board_of(value, tasks=TASKS, seeds=range(3), rows=("sgd", "adamp")):
    sweep = Sweep({r: [setting(r, lr=0.1 * len(r))] for r in rows}, tasks=tasks, report=tuple(seeds), baseline="sgd")
    return leaderboard(sweep.plan, sweep.records(lambda r: value(r.row, r.column, r.seed)))


def noise(*key):
    return random.Random(repr(key)).gauss(0, 1)


def test_a_task_has_welch_pairs_and_settings():
    board = board_of(lambda row, task, seed: noise(task, seed) + noise(row, task, seed))
    found = compare(board, "adamp", "sgd")
    a, b = (board.cell(row, "task-0") for row in ("adamp", "sgd"))
    task = found.tasks[0]
    assert task.welch.p == pytest.approx(scipy.stats.ttest_ind(a.values, b.values, equal_var=False).pvalue)
    assert task.paired.p == pytest.approx(scipy.stats.ttest_rel(a.values, b.values).pvalue)
    assert task.correlation == pytest.approx(scipy.stats.pearsonr(a.values, b.values).statistic)
    assert (task.seeds, task.smallest_flips) == (3, 0.25)
    assert task.flips >= 0.25
    assert task.settings == {"lr": (0.5, pytest.approx(0.3))}


def test_a_board_with_looks_is_said_to_be_one():
    sweep = Sweep({r: [setting(r)] for r in ("sgd", "adamp")}, baseline="sgd", looks=(2, 3))
    board = leaderboard(sweep.plan, sweep.records(lambda r: noise(r.row, r.seed)))
    assert compare(board, "adamp", "sgd").looks == [2, 3]
    assert compare(board_of(lambda *key: noise(*key)), "adamp", "sgd").looks == []


def test_turned_round_it_says_the_same():
    board = board_of(lambda *key: noise(*key))
    comparison, turned = compare(board, "adamp", "sgd"), compare(board, "sgd", "adamp")
    assert (comparison.wins, comparison.losses) == (turned.losses, turned.wins)
    assert comparison.wilcoxon == pytest.approx(turned.wilcoxon)
    assert comparison.improvement == pytest.approx(1 - turned.improvement)
    assert [t.p_holm for t in comparison.tasks] == pytest.approx([t.p_holm for t in turned.tasks])


def test_rows_compared_together_are_as_each_alone():
    board = board_of(lambda *key: noise(*key), rows=("adam", "sgd", "adamp", "lion"))
    rows = ["lion", "adam"]
    assert compare_all(board, rows, "sgd") == [compare(board, row, "sgd") for row in rows]
    assert compare_all(board, [], "sgd") == []


def test_small_gains_everywhere_are_proven_over_tasks_and_not_on_any():
    board = board_of(lambda row, task, seed: noise(row, task, seed) + 1.0 * (row == "adamp"))
    found = compare(board, "adamp", "sgd")
    assert {t.verdict for t in found.tasks} == {"not separable"}
    assert found.wilcoxon < 0.05
    assert found.scale == "units"


def test_gains_that_no_task_proves_are_won_nowhere_and_shown_by_the_mean_standardized_difference():
    board = board_of(lambda row, task, seed: noise(row, task, seed) + 1.0 * (row == "adamp"))
    comparison = compare(board, "adamp", "sgd")
    assert (comparison.wins, comparison.losses, comparison.ties) == (0, 0, 8)
    assert comparison.standardized.low < 1 < comparison.standardized.high
    assert comparison.standardized.p < 0.05
    assert comparison.wilcoxon_least == 2 / 2**8


def test_a_difference_is_the_cells_on_the_board():
    board = board_of(noise, rows=("sgd", "adamp", "adam"))
    for at, task in enumerate(compare(board, "adamp", "sgd").tasks):
        cell = board.rows[1].cells[at]
        assert (task.difference.delta, task.difference.p) == (pytest.approx(cell.delta), pytest.approx(cell.p))
        assert (task.difference.low, task.difference.high) == pytest.approx((cell.delta_lo, cell.delta_hi))


def test_a_large_gain_is_a_verdict():
    board = board_of(lambda row, task, seed: noise(row, task, seed) + 30 * (row == "adamp"))
    assert {t.verdict for t in compare(board, "adamp", "sgd").tasks} == {"a"}
    assert {t.verdict for t in compare(board, "sgd", "adamp").tasks} == {"b"}


def test_what_is_not_whole_or_has_one_seed_is_not_compared():
    def value(row, task, seed):
        return {("adamp", "task-0", 1): DIVERGED, ("sgd", "task-1", 2): None}.get(
            (row, task, seed), noise(row, task, seed)
        )

    found = compare(board_of(value), "adamp", "sgd")
    assert [t.verdict for t in found.tasks[:2]] == ["not comparable"] * 2
    assert found.wins + found.losses + found.ties == 6
    single = compare(board_of(noise, seeds=[0]), "adamp", "sgd")
    assert {t.verdict for t in single.tasks} == {"not tested"}
    assert single.tasks[0].flips == 1.0


def test_of_equal_rows_wilcoxon_over_tasks_is_significant_in_one_of_twenty():
    false = 0
    for trial in range(12):
        board = board_of(lambda *key, trial=trial: noise(trial, *key), seeds=range(2))
        false += compare(board, "adamp", "sgd").wilcoxon < 0.05
    assert false <= 4


def test_a_row_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(StoreError, match=r"no row 'adamw' \(it has sgd, adamp\)"):
        compare(board_of(noise), "adamw", "sgd")


def test_the_planner_asks_for_fewer_seeds_of_larger_differences_and_says_which_way_they_go():
    board = board_of(lambda row, task, seed: noise(row, task, seed) + 1.5 * (row == "adamp"), seeds=range(4))
    listed = needs(board)
    for need in listed:
        assert (need.n, need.baseline, need.row) == (4, "sgd", "adamp")
        assert need.better == (need.delta > 0)
        assert (need.more == 0) == need.decided
    open_ = sorted((need for need in listed if need.more), key=lambda need: abs(need.delta) / need.deviation)
    assert [need.more for need in open_] == sorted((need.more for need in open_), reverse=True)


def test_following_the_plan_decides_it_in_most_tables():
    """One row, one task: two rows whose noise is the same normal one, at the observed difference."""
    true, chance = 1.2, random.Random(0)
    wave = {"sgd": (1, -1, 1, -1), "adamp": (1, 1, -1, -1)}
    (need,) = needs(
        board_of(lambda row, task, seed: true * (row == "adamp") + 0.866 * wave[row][seed], TASKS[:1], range(4))
    )
    assert need.deviation == pytest.approx(1.0, abs=1e-2)
    assert not need.decided
    seeds, decided = range(4 + need.more), 0
    for _ in range(30):
        board = board_of(lambda row, task, seed: true * (row == "adamp") + chance.gauss(0, 1), TASKS[:1], seeds)
        decided += board.cell("adamp", "task-0").p_holm < 0.05
    assert 18 <= decided <= 30


def test_nothing_is_planned_without_a_difference_a_deviation_or_a_baseline():
    assert [n.more for n in needs(board_of(lambda row, task, seed: float(seed), TASKS[:1]))] == [None]
    assert [n.more for n in needs(board_of(lambda row, task, seed: float(len(row)), TASKS[:1]))] == [None]
    assert needs(leaderboard(Sweep({"sgd": [setting("sgd")]}).plan, [])) == []
    unfinished = board_of(lambda row, task, seed: None if seed == 1 else noise(row, seed), TASKS[:1])
    assert needs(unfinished) == []
