"""What tuning costs and what seeds would decide: budget curves, robustness of the rate, the planner."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from optathlon.results.statistics.planner import pooled_deviation, power, rejection_chance, seeds_needed, shift_needed
from optathlon.results.statistics.tails.student import quantile
from optathlon.results.statistics.tuning.budget import budget_curve, expected_best, tunability
from optathlon.results.statistics.tuning.robustness import good_region
from optathlon.results.statistics.welch import welch

SCORES = [0.3, 0.9, 0.1, 0.7, 0.7]


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("higher", [True, False])
def test_the_unbiased_estimate_is_the_mean_over_all_subsets(k, higher):
    best = max if higher else min
    subsets = list(itertools.combinations(SCORES, k))
    assert expected_best(SCORES, k, higher) == pytest.approx(sum(map(best, subsets)) / len(subsets))


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("higher", [True, False])
def test_dodges_estimate_is_the_mean_over_all_tuples(k, higher):
    best = max if higher else min
    tuples = list(itertools.product(SCORES, repeat=k))
    assert expected_best(SCORES, k, higher, "dodge") == pytest.approx(sum(map(best, tuples)) / len(tuples))


def test_of_twenty_trials_tang_is_right_and_dodge_too_low():
    chance, tang, dodge = random.Random(0), [], []
    for _ in range(2000):
        scores = [chance.gauss(0, 1) for _ in range(20)]
        tang.append(expected_best(scores, 20))
        dodge.append(expected_best(scores, 20, estimator="dodge"))
    assert sum(tang) / 2000 == pytest.approx(1.867, abs=0.04)
    assert sum(dodge) / 2000 == pytest.approx(1.66, abs=0.04)


def test_the_curve_rises_from_the_mean_to_the_best():
    curve = budget_curve(SCORES)
    assert curve[0] == pytest.approx(sum(SCORES) / 5)
    assert curve[-1] == pytest.approx(max(SCORES))
    assert curve == sorted(curve)


def test_nothing_is_extrapolated_or_made_of_divergence():
    for k in (0, 6):
        with pytest.raises(ValueError, match="of 5 trials"):
            expected_best(SCORES, k)
    with pytest.raises(ValueError, match="chance level"):
        expected_best([0.5, math.nan], 1)


def test_tunability_is_a_weighted_mean_of_the_curve():
    assert tunability([1.0, 2.0, 4.0]) == pytest.approx((3 * 1 + 2 * 2 + 1 * 4) / 6)
    assert tunability([1.0, 2.0, 4.0], [0, 0, 5]) == 4.0
    for weights in ([1.0], [0.0, 0.0, 0.0]):
        with pytest.raises(ValueError, match="weights"):
            tunability([1.0, 2.0, 4.0], weights)


def test_the_good_region_ends_where_the_score_crosses():
    region = good_region({1e-3: 0.0, 1e-2: 0.8, 1e-1: 1.0, 1.0: 0.0}, tolerance=0.5)
    assert region.best == 0.1
    assert region.low == pytest.approx(10 ** (-2 - 0.3 / 0.8))
    assert region.high == pytest.approx(10**-0.5)
    assert region.decades == pytest.approx(1.5 + 0.375)
    assert (region.open_low, region.open_high) == (False, False)


def test_a_region_that_reaches_the_grids_end_is_open():
    region = good_region({0.1: 1.0, 0.2: 0.99}, tolerance=0.05)
    assert (region.low, region.high, region.open_low, region.open_high) == (0.1, 0.2, True, True)


def test_divergence_ends_the_region_at_the_last_good_rate_and_a_second_peak_is_not_in_it():
    region = good_region({0.1: 1.0, 1.0: None, 10.0: 1.0}, tolerance=0.05)
    assert (region.low, region.high, region.open_high) == (0.1, 0.1, False)
    assert good_region({0.1: None}, 0.1) is None


def test_lower_is_better_mirrors_it():
    high = good_region({0.1: 0.2, 1.0: 0.9, 10.0: 0.3}, 0.1)
    assert good_region({0.1: -0.2, 1.0: -0.9, 10.0: -0.3}, 0.1, higher_is_better=False) == high
    with pytest.raises(ValueError, match="rates positive"):
        good_region({0.0: 1.0}, 0.1)


def test_the_pooled_deviation_forgets_the_means():
    assert pooled_deviation([[1.0, 2.0, 3.0], [101.0, 102.0, 103.0], [7.0]]) == pytest.approx(1.0)
    assert pooled_deviation([[1.0], []]) is None


@pytest.mark.parametrize(("n", "sigmas"), [(3, 3.0), (5, 2.0), (10, 1.0)])
def test_power_is_what_simulated_tables_have(n, sigmas):
    chance = random.Random(0)
    rejected = sum(
        welch([chance.gauss(sigmas, 1) for _ in range(n)], [chance.gauss(0, 1) for _ in range(n)]).p < 0.05
        for _ in range(2000)
    )
    assert power(sigmas, 1.0, n) == pytest.approx(rejected / 2000, abs=0.12 if n == 3 else 0.05)


def test_without_an_effect_power_is_the_level_and_a_huge_one_is_sure():
    assert power(0.0, 1.0, 5) == pytest.approx(0.05)
    assert power(-2.0, 1.0, 5) == power(2.0, 1.0, 5)
    assert power(1e4, 1.0, 5) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="n >= 2"):
        power(1.0, 1.0, 1)


def test_seeds_needed_is_the_first_n_with_the_power():
    def needed(sigmas, **more):
        return seeds_needed(lambda n: power(sigmas, 1.0, n, **more))

    for sigmas in (0.4, 1.0, 2.5):
        n = needed(sigmas)
        assert power(sigmas, 1.0, n) >= 0.8 > power(sigmas, 1.0, n - 1)
    # Cohen 1988, table 2.4.1: d = 0.5 takes 64 each, d = 0.8 takes 26.
    assert (needed(0.5), needed(0.8)) == (64, 26)
    assert [needed(sigmas) for sigmas in (2.0, 5.0, 100.0)] == [6, 3, 2]
    assert needed(0.01) is None
    assert needed(1.0, alpha=0.001) > needed(1.0)


def test_the_shift_needed_is_where_the_power_is_reached():
    limit = quantile(0.999, 9.0)
    assert rejection_chance(shift_needed(9.0, limit), 9.0, limit) == pytest.approx(0.8, abs=1e-4)
