"""Student's t."""

from __future__ import annotations

import functools
import math

from optathlon.results.statistics.tails.incomplete_beta import incomplete_beta


def two_sided_p(t: float, df: float) -> float:
    """P(|T| >= |t|) of a Student t with `df` > 0 degrees of freedom, which need not be whole.

    It is the regularized incomplete beta function I_x(df/2, 1/2) at x = df / (df + t²) (Abramowitz & Stegun 26.7.1).
    """
    if math.isinf(t):
        return 0.0
    return incomplete_beta(df / 2, 0.5, df / (df + t * t), t * t / (df + t * t))


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
