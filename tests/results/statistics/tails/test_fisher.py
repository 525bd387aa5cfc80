"""Both tails of Fisher's F, against SciPy's."""

from __future__ import annotations

import math
import random

import pytest
import scipy.special

from optathlon.results.statistics.tails.fisher import two_sided_p


def test_p_is_twice_scipys_smaller_tail():
    chance = random.Random(0)
    for _ in range(1000):
        df, of = chance.randint(1, 300), chance.randint(1, 300)
        ratio = 10 ** chance.uniform(-6, 6)
        expected = 2 * min(scipy.special.fdtrc(df, of, ratio), scipy.special.fdtr(df, of, ratio))
        # The logarithms of gamma functions of some hundreds lose three digits.
        assert two_sided_p(ratio, df, of) == pytest.approx(expected, rel=1e-11, abs=1e-290)


@pytest.mark.parametrize("ratio", [1e-9, 0.02, 0.9, 1.0, 3.7, 1e30])
def test_p_is_that_of_the_inverse_ratio(ratio):
    assert two_sided_p(ratio, 3, 8) == pytest.approx(two_sided_p(1 / ratio, 8, 3), rel=1e-13, abs=0)


def test_the_ends_are_impossible():
    assert two_sided_p(0.0, 2, 5) == two_sided_p(math.inf, 2, 5) == 0.0
