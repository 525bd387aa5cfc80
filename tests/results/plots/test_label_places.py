"""Labels keep their distance and their order."""

from __future__ import annotations

import itertools

import pytest

from optathlon.results.plots.label_places import spread


def test_names_are_moved_apart_and_stay_in_their_order():
    places = spread([5.0, 5.0, 5.0, 6.0, 100.0], 12.0, 100.0)
    assert all(b - a >= 12.0 for a, b in itertools.pairwise(places))
    assert min(places) >= 0
    assert max(places) <= 100.0
    assert spread([50.0, 50.0, 80.0], 12.0, 100.0) == [44.0, 56.0, 80.0]
    assert spread([99.0, 99.5], 12.0, 100.0) == [88.0, 100.0]
    assert spread([7.0], 12.0, 100.0) == [7.0]
    assert spread([], 12.0, 100.0) == []


def test_names_without_room_still_keep_their_distance():
    places = spread([50.0] * 20, 12.0, 100.0)
    assert all(b - a == pytest.approx(12.0) for a, b in itertools.pairwise(places))
