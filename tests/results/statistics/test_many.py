"""Many tests at once: Holm, tie groups, what could never be significant."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optathlon.results.statistics.holm import holm, holm_array
from optathlon.results.statistics.paired import sign_flip, smallest_p
from optathlon.results.statistics.welch import welch


def test_holm_by_hand():
    # Holm 1979 on four: 4 × 0.005, 3 × 0.01, 2 × 0.03, and 0.04 pulled up to its neighbor.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_what_could_not_be_tested_does_not_count():
    assert holm([None, 0.01, None, 0.02]) == [None, pytest.approx(0.02), None, pytest.approx(0.02)]


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_order_raises_every_p_and_is_bonferroni_at_most(ps):
    adjusted = holm(ps)
    for p, q in zip(ps, adjusted, strict=True):
        assert p <= q <= min(1.0, len(ps) * p) or q == p
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_holm_of_arrays_is_that_of_each_board():
    chance = np.random.default_rng(0)
    boards = np.where(chance.random((5, 3, 4)) < 0.2, np.nan, chance.random((5, 3, 4)) ** 4)
    for board, adjusted in zip(boards, holm_array(boards), strict=True):
        expected = holm([None if np.isnan(p) else p for p in board.ravel()])
        assert [None if np.isnan(p) else p for p in adjusted.ravel()] == pytest.approx(expected)


def test_rejecting_by_holm_is_its_step_down_procedure():
    chance = random.Random(0)
    for _ in range(200):
        ps = [chance.random() ** 3 for _ in range(8)]
        rejected = set()
        for position, i in enumerate(sorted(range(8), key=lambda i: ps[i])):
            if ps[i] >= 0.05 / (8 - position):
                break
            rejected.add(i)
        assert {i for i, p in enumerate(holm(ps)) if p < 0.05} == rejected


@pytest.mark.parametrize(
    ("test", "n", "p"),
    [
        ("sign-flip", 3, 0.25),
        ("sign-flip", 6, 0.03125),
        ("wilcoxon", 5, 0.0625),
        ("mann-whitney", 3, 0.1),
        ("mann-whitney", 5, 2 / 252),
    ],
)
def test_the_smallest_possible_p(test, n, p):
    assert smallest_p(test, n) == pytest.approx(p)
    if test == "sign-flip":
        assert sign_flip([1.0 + i for i in range(n)]) == pytest.approx(p)


def _table(chance, tasks, optimizers, seeds, effect=0.0):
    return [
        [[chance.gauss(effect if o == 1 else 0.0, 1.0) for _ in range(seeds)] for o in range(optimizers)]
        for _ in range(tasks)
    ]


def _rejected(table):
    ps = [welch(cell, task[0]).p for task in table for cell in task[1:]]
    return ps, holm(ps)


def test_of_equal_optimizers_one_table_in_twenty_at_most_has_a_false_star():
    chance = random.Random(1)
    tables = [_rejected(_table(chance, 4, 6, 5)) for _ in range(300)]
    stars = sum(any(p < 0.05 for p in adjusted) for _, adjusted in tables)
    naive = sum(any(p < 0.05 for p in ps) for ps, _ in tables)
    assert stars <= 0.08 * 300
    assert naive > 0.3 * 300


def test_welch_holds_its_level_at_three_seeds():
    chance = random.Random(2)
    ps = [welch([chance.gauss(0, 1) for _ in range(3)], [chance.gauss(0, 1) for _ in range(3)]).p for _ in range(4000)]
    assert 0.02 < sum(p < 0.05 for p in ps) / 4000 < 0.055


def test_an_optimizer_better_by_four_sigma_is_found_with_ten_seeds():
    chance = random.Random(3)
    shown = 0
    for _ in range(50):
        _, adjusted = _rejected(_table(chance, 2, 4, 10, effect=4.0))
        shown += adjusted[0] < 0.05
    assert shown >= 48
