"""The tail of a chi-square, against SciPy's and by hand."""

from __future__ import annotations

import math
import random

import pytest
import scipy.special

from optathlon.results.statistics.tails.chi_square import chi_square_tail


@pytest.mark.parametrize(
    ("most", "rel"),
    # Each term is the exponential of a sum of logarithms, whose rounding grows with their size.
    [(1, 1e-13), (2, 1e-13), (3, 1e-13), (12, 1e-13), (100, 1e-12), (1000, 1e-11)],
)
def test_the_tail_is_scipys_to_full_relative_precision(most, rel):
    chance = random.Random(most)
    for _ in range(400):
        df = chance.randint(1, most)
        x = chance.random() ** 3 * 20 * df
        assert chi_square_tail(x, df) == pytest.approx(scipy.special.chdtrc(df, x), rel=rel, abs=1e-300)


def test_two_degrees_of_freedom_are_exponential_as_far_as_numbers_go():
    for x in (1e-300, 1e-8, 1.0, 60.0, 1400.0):
        assert chi_square_tail(x, 2) == pytest.approx(math.exp(-x / 2), rel=1e-15, abs=0)


def test_no_distance_is_certain_and_any_distance_has_a_chance():
    assert {chi_square_tail(0.0, df) for df in (1, 2, 3, 500)} == {1.0}
    assert chi_square_tail(1e6, 3) == 0.0
    assert chi_square_tail(1e-12, 500) == 1.0
