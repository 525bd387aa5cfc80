"""The range of normals: two have a closed form, far out all pairs are apart, and between them stands SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from optathlon.results.statistics.tails.studentized_range import range_quantile, range_tail

DISTANCES = (1e-9, 1e-3, 0.3, 1.0, 3.0, 6.0, 10.0, 25.0, 50.0)


@pytest.mark.parametrize("q", DISTANCES)
def test_the_range_of_two_is_their_difference(q):
    # At q = 50 it is 10^-273.
    assert range_tail(q, 2) == pytest.approx(math.erfc(q / 2), rel=1e-12, abs=0)


@pytest.mark.parametrize("count", [3, 4, 12, 100])
def test_the_tail_is_scipys(count):
    q = np.array([0.1, 1.0, 2.0, 3.5, 5.0])
    expected = scipy.stats.studentized_range.cdf(q, count, math.inf)
    assert [1 - range_tail(each, count) for each in q] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("count", [3, 12, 300])
def test_far_out_no_two_pairs_are_apart_at_once(count):
    q = 25.0
    assert range_tail(q, count) == pytest.approx(math.comb(count, 2) * math.erfc(q / 2), rel=1e-12, abs=0)


@pytest.mark.parametrize("count", [2, 3, 12, 1000])
def test_the_tail_falls_from_one(count):
    tails = [range_tail(q, count) for q in (-1.0, 0.0, *DISTANCES)]
    assert tails == sorted(tails, reverse=True)
    assert tails[:2] == [1.0, 1.0]


@pytest.mark.parametrize("count", [2, 5, 40, 300])
@pytest.mark.parametrize("chance", [0.999, 0.5, 0.05, 1e-10, 1e-200])
def test_the_quantile_has_its_chance(count, chance):
    assert range_tail(range_quantile(chance, count), count) == pytest.approx(chance, rel=1e-11, abs=0)


@pytest.mark.parametrize("count", [2, 3, 10, 100])
def test_the_quantile_is_scipys(count):
    expected = scipy.stats.studentized_range.ppf(0.95, count, math.inf)
    assert range_quantile(0.05, count) == pytest.approx(expected, rel=1e-12)
