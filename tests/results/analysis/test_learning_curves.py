"""Curves over seeds: what a band is, what is shown of it, and what thinning keeps."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from optathlon.results.analysis.learning_curves import (
    AREA_POINTS,
    POINTS,
    Band,
    band,
    difference,
    higher_is_better,
    largest_triangles,
    shown_curve,
    since,
    start,
    thinned,
    values,
    window,
)
from optathlon.results.record import Curve
from tests.results.make import Sweep, record, setting

COLUMN = Sweep({"sgd": [setting()]}, tune=[0]).plan.head.columns[0]


def with_curve(points, name="validation/accuracy"):
    return record(curve=Curve(unit="epochs", points={name: points}))


def flat(ends, width=0.0, length=30):
    return [
        Band(times=[float(t) for t in range(length)], middle=[end] * length, low=[end - width] * length,
             high=[end + width] * length, seeds=3)
        for end in ends
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["train/loss", "validation/loss", "validation/accuracy", "test/accuracy"], "test/accuracy"),
        (["train/accuracy", "validation/loss", "validation/accuracy"], "validation/accuracy"),
        (["train/loss", "validation/f1"], "validation/f1"),
        (["model/weight_norm", "train/a/loss", "train/b/loss"], "train/a/loss"),
        (["model/weight_norm"], None),
    ],
)
def test_the_curve_that_is_shown(names, shown):
    runs = [record(curve=Curve(unit="epochs", points={name: [(1.0, 1.0)] for name in names}))]
    assert shown_curve(COLUMN, runs) == shown


def test_directions_are_the_scores_own():
    assert higher_is_better("test/accuracy", COLUMN, [])
    loss = msgspec.structs.replace(COLUMN, metric="test/perplexity", higher_is_better=False)
    assert not higher_is_better("validation/perplexity", loss, [])
    assert not higher_is_better("train/loss", COLUMN, [record()])


def test_a_curve_ends_with_its_last_finite_value():
    points = [(1.0, 2.0), (2.0, 3.0), (3.0, None), (4.0, 5.0)]
    assert values(with_curve(points), "validation/accuracy") == {1.0: 2.0, 2.0: 3.0}
    for bad in (math.inf, -math.inf, math.nan, 1e200):
        assert values(with_curve([(1.0, 2.0), (2.0, bad)]), "validation/accuracy") == {1.0: 2.0}
    assert values(with_curve([]), "validation/accuracy") == values(with_curve([]), "test/other") == {}


def test_a_band_is_the_mean_and_the_range_over_seeds():
    found = band([{1.0: 1.0, 2.0: 4.0}, {1.0: 3.0, 2.0: 4.0}])
    assert found == Band(times=[1.0, 2.0], middle=[2.0, 4.0], low=[1.0, 4.0], high=[3.0, 4.0], seeds=2)


def test_a_band_ends_where_the_first_seed_does():
    found = band([{1.0: 1.0, 2.0: 4.0}, {1.0: 3.0}])
    assert found is not None
    assert (found.times, found.whole) == ([1.0], False)
    assert band([{1.0: 1.0}, {}]) is None
    assert band([]) is None


def test_a_difference_is_taken_seed_by_seed():
    ours, theirs = {1: {1.0: 5.0}, 2: {1.0: 9.0}}, {2: {1.0: 8.0}, 1: {1.0: 2.0}, 3: {1.0: 100.0}}
    found = difference(ours, theirs)
    assert found is not None
    assert (found.middle, found.low, found.high, found.seeds) == ([2.0], [1.0], [3.0], 2)


def test_without_a_common_seed_a_difference_is_to_the_mean():
    found = difference({1: {1.0: 5.0}}, {2: {1.0: 2.0}, 3: {1.0: 4.0}})
    assert found is not None
    assert found.middle == [2.0]
    assert difference({1: {1.0: 5.0}}, {2: {}}) is None


def test_the_window_is_of_the_last_third_and_without_far_ends():
    rising = Band(
        times=[1.0, 2.0, 3.0], middle=[0.0, 70.0, 71.0], low=[0.0, 69.0, 70.5], high=[0.0, 71.0, 72.0], seeds=2
    )
    low, high = window([rising]) or (0.0, 0.0)
    assert (low, high) == (pytest.approx(69 - 0.18), pytest.approx(72 + 0.18))
    low, high = window([*flat([70, 71, 72, 73], 0.1), *flat([10])]) or (0.0, 0.0)
    assert 69 < low < high < 74
    assert window([]) is None


def test_ends_that_differ_by_no_more_than_seeds_do_are_all_shown():
    low, high = window(flat([80.85, 80.70, 80.42, 83.8], 2.0)) or (0.0, 0.0)
    assert low < 78.5
    assert high > 85.7


def test_a_window_of_one_value_has_a_height():
    for value in (0.0, 50.0, -50.0):
        low, high = window(flat([value])) or (0.0, 0.0)
        assert low < value < high


def test_time_begins_where_the_first_curve_comes_into_the_window():
    times = [float(t) for t in range(1, 101)]
    rising = [Band(times=times, middle=times, low=times, high=times, seeds=1)]
    assert 55 < start(rising, (60.0, 100.0)) < 60
    assert start(rising, (5.0, 100.0)) == 0.0
    assert since(rising[0], 57.5).times[0] == 57.0
    assert since(rising[0], 0.0) == rising[0]
    assert since(rising[0], 1000.0).times == [100.0]


def noisy(count):
    chance = random.Random(0)
    middle = [chance.gauss(0, 1) for _ in range(count)]
    spread = [abs(chance.gauss(0, 1)) for _ in range(count)]
    low = [m - s for m, s in zip(middle, spread, strict=True)]
    high = [m + s for m, s in zip(middle, spread, strict=True)]
    return Band(times=[float(t) for t in range(count)], middle=middle, low=low, high=high, seeds=3)


@pytest.mark.parametrize("points", [POINTS, AREA_POINTS, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 33, 100, 1000])
def test_thinned_lines_go_through_measured_points_and_keep_the_ends(count, points):
    whole = noisy(count)
    few = thinned(whole, points)
    assert len(few.times) == min(count, points)
    assert (few.times[0], few.times[-1]) == (whole.times[0], whole.times[-1])
    assert few.times == sorted(set(few.times))
    measured = dict(zip(whole.times, whole.middle, strict=True))
    assert all(measured[t] == m for t, m in zip(few.times, few.middle, strict=True))


@pytest.mark.parametrize("count", [40, 100, 1000])
def test_no_seed_leaves_a_thinned_band(count):
    whole = noisy(count)
    few = thinned(whole, AREA_POINTS)

    def interpolated(time, edge):
        i = max(k for k, t in enumerate(few.times) if t <= time)
        j = min(i + 1, len(few.times) - 1)
        share = 0.0 if i == j else (time - few.times[i]) / (few.times[j] - few.times[i])
        return edge[i] * (1 - share) + edge[j] * share

    for time, low, high in zip(whole.times, whole.low, whole.high, strict=True):
        assert interpolated(time, few.low) <= low + 1e-9
        assert interpolated(time, few.high) >= high - 1e-9


def test_thinning_keeps_a_spike():
    ys = [0.0] * 500
    ys[333] = 1.0
    assert 333 in largest_triangles([float(x) for x in range(500)], ys, POINTS)


def test_a_short_curve_is_not_touched():
    assert thinned(noisy(POINTS)) == noisy(POINTS)
