"""Means drawn together: the best of equals is worth less than it looks."""

from __future__ import annotations

import random

import pytest

from optathlon.results.statistics.shrinkage import shrunken


def test_the_best_of_equals_is_brought_back_to_the_others():
    chance = random.Random(0)
    raw = drawn = 0.0
    for _ in range(300):
        means = [chance.gauss(0, 1) for _ in range(8)]
        raw += max(means) / 300
        drawn += max(shrunken(means, [1.0] * 8)) / 300
    assert raw > 1.2
    assert drawn < 0.75 * raw


def test_means_far_apart_stay_where_they_are():
    means = [0.0, 10.0, 20.0, 30.0]
    assert shrunken(means, [0.1] * 4) == pytest.approx(means, abs=1e-3)


def test_three_means_or_errors_too_small_to_square_change_nothing():
    assert shrunken([1.0, 2.0, 4.0], [1.0] * 3) == [1.0, 2.0, 4.0]
    assert shrunken([1e-200, 2e-200, 3e-200, 4e-200], [1e-201] * 4) == [1e-200, 2e-200, 3e-200, 4e-200]
    assert shrunken([5.0] * 4, [0.0] * 4) == [5.0] * 4
    assert shrunken([], []) == []
