"""Intervals, Welch, paired tests and Dunnett, against SciPy and by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from optathlon.results.statistics.difference import mean_interval
from optathlon.results.statistics.dunnett import dunnett, unequal_spreads
from optathlon.results.statistics.paired import correlation, differences, paired_t, sign_flip
from optathlon.results.statistics.welch import welch

A, B = [70.5, 70.25, 71.0], [70.0, 71.25, 70.5, 69.0]


def test_half_an_interval_of_three_seeds_is_two_and_a_half_deviations():
    low, high = mean_interval([-1.0, 0.0, 1.0])
    assert (high, low) == (pytest.approx(2.484, abs=1e-3), pytest.approx(-2.484, abs=1e-3))
    assert mean_interval([1.0]) is None


def test_welch_is_scipys():
    difference, expected = welch(A, B), scipy.stats.ttest_ind(A, B, equal_var=False)
    interval = expected.confidence_interval()
    assert difference.p == pytest.approx(expected.pvalue)
    assert difference.df == pytest.approx(expected.df)
    assert (difference.low, difference.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert difference.delta == pytest.approx(sum(A) / 3 - sum(B) / 4)


samples = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6)


@hypothesis_settings(max_examples=100, deadline=None)
@given(samples, samples)
def test_welch_turned_round_is_its_mirror_and_agrees_with_its_interval(a, b):
    difference, turned = welch(a, b), welch(b, a)
    assert difference.delta == pytest.approx(-turned.delta)
    if difference.p is not None:
        assert 0 <= difference.p <= 1
        assert difference.p == pytest.approx(turned.p)
        assert difference.low <= difference.delta <= difference.high
        if abs(difference.p - 0.05) > 1e-6:
            assert (difference.low > 0 or difference.high < 0) == (difference.p < 0.05)


@pytest.mark.parametrize(("a", "b"), [([0.1] * 3, [0.2] * 3), ([0.1], [0.2, 0.3]), ([0.1] * 3, [0.1] * 3)])
def test_without_spread_or_a_second_seed_there_is_no_p(a, b):
    found = welch(a, b)
    assert (found.p, found.low, found.high) == (None, None, None)
    assert found.delta == pytest.approx(a[0] - sum(b) / len(b))


@pytest.mark.filterwarnings("ignore:Precision loss")
def test_one_sample_without_spread_is_enough():
    assert welch([1.0, 1.0, 1.0], A).p == pytest.approx(
        scipy.stats.ttest_ind([1.0, 1.0, 1.0], A, equal_var=False).pvalue
    )
    with pytest.raises(ValueError, match="need a value"):
        welch([], A)


def test_pairs_are_the_common_seeds():
    a, b = {3: 1.0, 1: 2.0, 7: 5.0}, {1: 1.5, 3: 0.0, 8: 9.0}
    assert differences(a, b) == [0.5, 1.0]


def test_paired_t_is_scipys():
    a, b = [1.0, 2.0, 3.5, 4.0], [0.5, 2.5, 2.0, 3.0]
    found, expected = paired_t([x - y for x, y in zip(a, b, strict=True)]), scipy.stats.ttest_rel(a, b)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.low == pytest.approx(expected.confidence_interval().low)
    assert paired_t([0.1, 0.1, 0.1]).p is None
    with pytest.raises(ValueError, match="no seed in common"):
        paired_t([])


@pytest.mark.parametrize("values", [[1.0, 2.0, -0.5], [0.3, 0.3, 0.3, -0.3], [5.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
def test_sign_flip_by_brute_force(values):
    sums = [abs(sum(s * v for s, v in zip(signs, values, strict=True)))
            for signs in itertools.product((1, -1), repeat=len(values))]  # fmt: skip
    expected = sum(s >= abs(sum(values)) - 1e-9 for s in sums) / len(sums)
    assert sign_flip(values) == pytest.approx(expected)


def test_sign_flip_cannot_reject_with_three_seeds():
    assert sign_flip([1.0, 1.0, 1.0]) == 0.25
    assert sign_flip([1.0] * 6) == pytest.approx(0.03125)
    with pytest.raises(ValueError, match="21 differences"):
        sign_flip([1.0] * 21)


def test_seeds_that_move_together_are_correlated():
    a, b = {1: 1.0, 2: 2.0, 3: 3.0, 4: 0.5}, {1: 2.0, 2: 4.5, 3: 5.0, 5: 0.0}
    assert correlation(a, b) == pytest.approx(scipy.stats.pearsonr([1, 2, 3], [2, 4.5, 5]).statistic)
    assert correlation(a, {1: 1.0, 2: 1.0, 3: 1.0}) is None


def test_dunnett_is_scipys_for_its_textbook_example():
    control = [7.40, 8.50, 7.20, 8.24, 9.84, 8.32]
    differences = dunnett({"a": [9.76, 8.80, 7.68, 9.36], "b": [12.80, 9.68, 12.16, 9.20, 10.55]}, control)
    assert differences["a"].p == pytest.approx(0.62004, abs=1e-3)
    assert differences["b"].p == pytest.approx(0.00582, abs=3e-4)
    assert differences["b"].delta == pytest.approx(10.878 - 8.25)
    assert differences["b"].low < differences["b"].delta < differences["b"].high


def test_dunnett_of_one_sample_is_students_test_with_a_pooled_variance():
    a, control = [0.3, 1.9, 2.2], [1.0, -0.5, 0.2, 0.9, 3.0]
    expected = scipy.stats.ttest_ind(a, control)
    found, interval = dunnett({"a": a}, control, 0.9)["a"], expected.confidence_interval(0.9)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-12)
    assert (found.low, found.high, found.df) == pytest.approx((interval.low, interval.high, expected.df))


def test_dunnett_knows_how_small_a_small_p_is():
    a, control = [1e4, 1e4 + 1, 1e4 + 2], [0.0, 1.0, 2.0]
    expected = scipy.stats.ttest_ind(a, control).pvalue
    assert 0 < expected < 1e-14
    assert dunnett({"a": a}, control)["a"].p == pytest.approx(expected, rel=1e-11, abs=0)


@pytest.mark.parametrize("sizes", [(3, 3, 3, 3), (2, 9, 30, 4), (2,) * 12])
def test_dunnett_is_scipys_for_any_sizes(sizes):
    chance = np.random.default_rng(sum(sizes))
    samples = {str(i): list(chance.normal(i % 3, size=n)) for i, n in enumerate(sizes)}
    control = list(chance.normal(size=3))
    found, expected = dunnett(samples, control), scipy.stats.dunnett(*samples.values(), control=control, rng=chance)
    assert [each.p for each in found.values()] == pytest.approx(expected.pvalue, abs=1e-3)


def test_dunnett_of_hundreds_of_rows_has_the_median_of_their_largest_distance():
    """Simulated: 400 samples of three seeds and a control, all of one distribution."""
    drawn = np.random.default_rng(0).normal(size=(1000, 401, 3))
    pooled = np.sqrt(drawn.var(axis=2, ddof=1).mean(axis=1))
    means = drawn.mean(axis=2)
    largest = np.abs(means[:, 1:] - means[:, :1]).max(axis=1) / (pooled * math.sqrt(2 / 3))
    samples = {str(i): list(values) for i, values in enumerate(drawn[0, 1:])}
    found = dunnett(samples, list(drawn[0, 0]), 0.5)["0"]
    allowed = (found.high - found.low) / 2 / (pooled[0] * math.sqrt(2 / 3))
    assert np.mean(largest < allowed) == pytest.approx(0.5, abs=0.05)


def test_dunnett_without_spread_or_a_second_seed_knows_deltas_only():
    assert dunnett({"a": [1.0]}, [2.0, 3.0])["a"].p is None
    assert dunnett({"a": [1.0, 1.0]}, [2.0, 2.0])["a"].delta == -1.0
    assert dunnett({}, [1.0, 2.0]) == {}
    assert not math.isnan(dunnett({"a": [1.0, 2.0]}, [2.0, 3.0])["a"].p)


def test_a_control_with_another_spread_than_the_others_is_told():
    quiet, loud = [1.0, 1.1, 0.9, 1.05], [-40.0, 0.0, 55.0, 3.0]
    assert unequal_spreads([loud, quiet, quiet])
    assert unequal_spreads([quiet, loud, loud])
    assert not unequal_spreads([quiet, quiet, [2.0, 2.1, 1.9, 2.0]])
    assert not unequal_spreads([[1.0], quiet])
    assert not unequal_spreads([[1.0, 1.0], quiet])
    assert unequal_spreads([[1e150, -1e150], [1e-150, 2e-150], [0.0, 1e-150]])
