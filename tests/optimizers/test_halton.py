"""Halton points cover evenly, and are the same for ever: they decide ids."""

from __future__ import annotations

import pytest

from optathlon.optimizers.halton import points


def test_golden_points():
    """If this fails, random sweeps no longer find their runs."""
    assert [[round(u, 6) for u in point] for point in points(3, 3, seed=1)] == GOLDEN


GOLDEN = [[0.033383, 0.41806, 0.416174], [0.533383, 0.084727, 0.616174], [0.283383, 0.751394, 0.816174]]


@pytest.mark.parametrize(("dimension", "base"), [(0, 2), (1, 3), (2, 5)])
def test_each_power_of_the_base_fills_every_interval_once(dimension, base):
    for power in (1, 2, 3):
        cells = sorted(int(point[dimension] * base**power) for point in points(base**power, 3, seed=7))
        assert cells == list(range(base**power))


def test_seeds_give_other_points_and_longer_sequences_begin_alike():
    assert points(4, 2, seed=0) != points(4, 2, seed=1)
    assert points(9, 2, seed=0)[:4] == points(4, 2, seed=0)


def test_points_lie_in_the_unit_cube():
    assert all(0 <= u < 1 for point in points(500, 6, seed=3) for u in point)
