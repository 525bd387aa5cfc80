"""Dunnett's distribution: Student's of one sample, independent ones beside a sure control, a literal integral else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

from optathlon.results.statistics.tails.many_to_one import farthest_tail

DISTANCES = (1e-6, 0.1, 0.7, 1.5, 2.3, 4.0, 9.0, 40.0)


@pytest.mark.parametrize(("df", "control", "size"), [(2, 2, 2), (3, 2, 3), (24, 3, 3), (14, 10, 6), (500, 251, 251)])
def test_one_sample_has_students_tail(df, control, size):
    tail = farthest_tail(df, control, (size,))
    for t in (*DISTANCES, 1e4, 1e9):
        assert tail(t) == pytest.approx(2 * scipy.special.stdtr(df, -t), rel=1e-11, abs=1e-290)


@pytest.mark.parametrize("count", [2, 11, 300])
def test_samples_are_independent_where_control_and_deviation_are_sure(count):
    tail = farthest_tail(10**8, 10**12, (3,) * count)
    for t in DISTANCES[:-1]:
        single = math.erfc(t / math.sqrt(2))
        # The normal is the limit of many degrees of freedom: they differ by about t⁴ / (4 df).
        expected = -math.expm1(count * math.log1p(-single))
        assert tail(t) == pytest.approx(expected, rel=1e-9 + t**4 / 1e8, abs=0)


def literal_tail(t: float, df: int, control: int, sizes: tuple[int, ...]) -> float:
    """The integral over the control's mean and the estimated deviation, by Gauss and Legendre on short pieces."""
    point, weight = np.polynomial.legendre.leggauss(16)

    def nodes(ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        width = np.diff(ends)[:, None]
        return (ends[:-1, None] + width * (point + 1) / 2).ravel(), (weight * width / 2).ravel()

    z, of_z = nodes(np.linspace(-20, 20, 31))
    s, of_s = nodes(np.append(0, np.geomspace(1e-3, 6, 50)) * math.sqrt(df))
    no_sample = np.zeros((len(z), len(s)))
    for n in sizes:
        shared = math.sqrt(n / (n + control))
        own = math.sqrt(1 - shared**2)
        middle, half = shared * z[:, None] / own, t * s / math.sqrt(df) / own
        beyond = scipy.special.ndtr(-half - middle) + scipy.special.ndtr(middle - half)
        no_sample += np.log1p(-np.minimum(beyond, 1 - 1e-16))
    weights = (of_z * scipy.stats.norm.pdf(z))[:, None] * (of_s * scipy.stats.chi.pdf(s, df))
    return float((weights * -np.expm1(no_sample)).sum())


@pytest.mark.parametrize(
    ("df", "control", "sizes"), [(4, 2, (2, 2)), (24, 3, (3, 3, 3)), (45, 3, (2, 9, 30)), (200, 10, (5, 10))]
)
@pytest.mark.parametrize("t", [0.5, 2.5, 6.0, 15.0])
def test_any_samples_have_the_tail_of_the_literal_integral(df, control, sizes, t):
    """Of 200 degrees of freedom 15 standard errors have a chance of 10^-34."""
    expected = literal_tail(t, df, control, sizes)
    assert farthest_tail(df, control, sizes)(t) == pytest.approx(expected, rel=1e-11, abs=0)


@pytest.mark.parametrize(("df", "control", "sizes"), [(2, 2, (2,)), (600, 3, (3,) * 300), (60, 3, (2, 30))])
def test_the_tail_falls_from_one_to_nothing(df, control, sizes):
    tails = [farthest_tail(df, control, sizes)(t) for t in (0.0, *DISTANCES, math.inf)]
    assert tails == sorted(tails, reverse=True)
    assert (tails[0], tails[-1]) == (1.0, 0.0)


def test_more_samples_reach_farther():
    tails = [farthest_tail(24, 3, (3,) * count)(2.5) for count in range(1, 12)]
    assert tails == sorted(tails)
    assert all(tail < count * tails[0] for count, tail in enumerate(tails[1:], 2))
