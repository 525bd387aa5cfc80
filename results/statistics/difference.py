"""What a comparison of two samples comes to, and the interval of a single one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from optathlon.results.statistics.summary import deviation, mean
from optathlon.results.statistics.tails.student import quantile, two_sided_p


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A difference of means, and how well it is known.

    All but delta are None where nothing can be said: fewer than two values in a sample, or no spread at all.
    """

    delta: float
    """Mean of the first sample less mean of the second."""
    error: float | None = None
    """The standard error of delta, on df degrees of freedom."""
    low: float | None = None
    high: float | None = None
    """The ends of its interval."""
    p: float | None = None
    """Two-sided, of no difference."""
    df: float | None = None


def from_error(delta: float, error: float, df: float, level: float) -> Difference:
    """The Difference of an estimate with standard error `error` > 0 on `df` degrees of freedom."""
    half = quantile(level, df) * error
    p = two_sided_p(delta / error, df)
    return Difference(delta=delta, error=error, low=delta - half, high=delta + half, p=p, df=df)


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """The t interval of the mean, mean ± t(n - 1) s / √n; None of fewer than two values."""
    center, spread = mean(values), deviation(values)
    if center is None or spread is None:
        return None
    half = quantile(level, len(values) - 1) * spread / math.sqrt(len(values))
    return center - half, center + half
