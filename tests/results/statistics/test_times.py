"""Profiles, time to target, AlgoPerf's score and speed-ups; the bugs found in AlgoPerf's scorer stay out."""

from __future__ import annotations

import math
import random

import pytest

from optathlon.results.statistics.speedup import speed_up
from optathlon.results.statistics.targets import algoperf_score, time_ratios, time_to_target

INF, NAN = math.inf, math.nan


def test_ratios_are_to_the_best_of_each_task():
    found = time_ratios({"a": [10.0, 40.0, INF], "b": [20.0, 20.0, INF]})
    assert found == {"a": [1.0, 2.0, INF], "b": [2.0, 1.0, INF]}


def test_nan_is_not_reached():
    assert time_ratios({"a": [NAN, 3.0], "b": [2.0, NAN]}) == {"a": [INF, 1.0], "b": [1.0, INF]}


def test_bad_times_are_refused():
    with pytest.raises(ValueError, match="positive"):
        time_ratios({"a": [0.0]})
    with pytest.raises(ValueError, match="zip"):
        time_ratios({"a": [1.0], "b": [1.0, 2.0]})


def test_the_target_is_reached_when_it_is_reached_and_not_when_best():
    points = [(1.0, 0.5), (2.0, 0.71), (3.0, 0.6), (4.0, 0.9)]
    assert time_to_target(points, 0.7, True) == 2.0
    assert time_to_target(points, 0.95, True) == INF
    assert time_to_target(points, 0.55, False) == 1.0


def test_the_earliest_by_time_counts_not_by_position():
    assert time_to_target([(9.0, 0.8), (3.0, 0.8)], 0.7, True) == 3.0


def test_nan_none_and_infinity_reach_no_target():
    assert time_to_target([(1.0, NAN), (2.0, None), (3.0, INF)], 0.7, True) == INF
    assert time_to_target([], 0.7, True) == INF


def test_the_score_by_hand():
    assert algoperf_score([1.0, 1.0]) == 1.0
    assert algoperf_score([INF, 4.0, 5.0]) == 0.0
    # One task at once, one at twice the best time, one never: (3 + 2 + 0) / 3 of 3 tasks.
    assert algoperf_score([1.0, 2.0, INF]) == pytest.approx(5 / 9)
    for bad in ([], [0.5], [NAN]):
        with pytest.raises(ValueError, match="ratios"):
            algoperf_score(bad)


def test_the_score_is_the_integral_of_the_profile():
    chance = random.Random(0)
    ratios = [chance.choice([1.0, chance.uniform(1, 6), INF]) for _ in range(14)]
    cells = 30_000
    middles = (1 + 3 * (i + 0.5) / cells for i in range(cells))
    profile = (sum(ratio <= most for ratio in ratios) / len(ratios) for most in middles)
    assert algoperf_score(ratios) == pytest.approx(sum(profile) / cells, abs=1e-4)


def test_the_speed_up_is_a_geometric_mean():
    assert speed_up([10.0, 10.0], [5.0, 20.0], [100.0, 100.0]) == pytest.approx(1.0)
    assert speed_up([10.0], [5.0], [100.0]) == pytest.approx(2.0)


def test_who_did_not_arrive_is_given_the_longest_time_plus_one():
    for late in (INF, NAN, 100.5):
        assert speed_up([10.0], [late], [100.0]) == pytest.approx(10 / 101)
    assert speed_up([INF], [101.0], [100.0]) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="positive"):
        speed_up([0.0], [1.0], [1.0])
    with pytest.raises(ValueError, match="no task"):
        speed_up([], [], [])
