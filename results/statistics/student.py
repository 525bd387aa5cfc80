"""Student's t distribution in plain Python: importing scipy.special takes longer than a board of 10,000 records."""

from __future__ import annotations

import functools
import math

_TINY = 1e-300
_PRECISION = 1e-15


def two_sided_p(t: float, df: float) -> float:
    """P(|T| >= |t|) of a Student t with `df` > 0 degrees of freedom, which need not be whole.

    It is the regularized incomplete beta function I_x(df/2, 1/2) at x = df / (df + t²) (Abramowitz & Stegun 26.7.1).
    """
    if math.isinf(t):
        return 0.0
    return _incomplete_beta(df / 2, 0.5, df / (df + t * t), t * t / (df + t * t))


@functools.cache
def quantile(level: float, df: float) -> float:
    """The t >= 0 with P(|T| <= t) = `level`, 0 <= level < 1: what half an interval of that level spans in errors."""
    # The tail is convex in t >= 0, so that Newton's steps from 0 approach the root from the left.
    t = 0.0
    for _ in range(200):
        step = (two_sided_p(t, df) - (1 - level)) / (2 * _density(t, df))
        t += step
        if abs(step) <= 1e-14 * (1 + t):
            break
    return t


def _density(t: float, df: float) -> float:
    constant = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return math.exp(constant - (df + 1) / 2 * math.log1p(t * t / df))


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """I_x(a, b), with `rest` = 1 - x given apart so that neither end loses digits."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, rest) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function (Abramowitz & Stegun 26.5.8), by Lentz's method."""
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
