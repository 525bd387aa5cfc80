"""Quantiles by tails: of tails whose inverse is known."""

from __future__ import annotations

import math

import pytest

from optathlon.results.statistics.tails.upper_quantile import upper_quantile

CHANCES = (1 - 1e-9, 0.5, 0.05, 1e-4, 1e-10, 1e-300)


@pytest.mark.parametrize("chance", CHANCES)
def test_the_quantile_of_an_exponential(chance):
    assert upper_quantile(lambda x: math.exp(-x), chance) == pytest.approx(-math.log(chance), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("chance", CHANCES)
def test_the_quantile_of_a_heavy_tail(chance):
    x = upper_quantile(lambda x: (1 + x) ** -2, chance)
    assert 1 + x == pytest.approx(chance**-0.5, rel=1e-12)


@pytest.mark.parametrize("chance", CHANCES)
def test_a_normals_quantile_is_found_where_the_bracket_ends_in_zeros(chance):
    x = upper_quantile(lambda x: math.erfc(x**2), chance)
    assert math.erfc(x**2) == pytest.approx(chance, rel=1e-10, abs=0)


@pytest.mark.parametrize("chance", [0.0, 1.0, -0.1, math.nan])
def test_other_chances_are_refused(chance):
    with pytest.raises(ValueError, match="between 0 and 1"):
        upper_quantile(lambda x: math.exp(-x), chance)
