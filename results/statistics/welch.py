"""Welch's test: do two samples of unequal variances have one mean?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from optathlon.results.statistics.difference import Difference, from_error
from optathlon.results.statistics.summary import deviation, mean


def welch(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Difference:
    """Mean of `a` less mean of `b`, with the Welch–Satterthwaite interval and p; ValueError if one is empty."""
    if not a or not b:
        raise ValueError("both samples need a value")
    delta = (mean(a) or 0.0) - (mean(b) or 0.0)
    spread_a, spread_b = deviation(a), deviation(b)
    if spread_a is None or spread_b is None:
        return Difference(delta=delta)
    if not _spread(a, spread_a) and not _spread(b, spread_b):
        return Difference(delta=delta)
    return from_summaries(delta, spread_a, len(a), spread_b, len(b), level)


def from_summaries(delta: float, std_a: float, n_a: int, std_b: float, n_b: int, level: float = 0.95) -> Difference:
    """The same of a difference of means, sample deviations, not both 0, and counts of at least two."""
    return from_error(delta, welch_error(std_a, n_a, std_b, n_b), satterthwaite(std_a, n_a, std_b, n_b), level)


def welch_error(std_a: float, n_a: int, std_b: float, n_b: int) -> float:
    """The standard error of a difference of two means with these deviations."""
    return math.sqrt(std_a**2 / n_a + std_b**2 / n_b)


def satterthwaite(std_a: float, n_a: int, std_b: float, n_b: int) -> float:
    """The degrees of freedom of that standard error (Welch 1938, Satterthwaite 1946)."""
    error_a, error_b = std_a**2 / n_a, std_b**2 / n_b
    # In shares of the whole: the squares of very small variances would vanish.
    share_a, share_b = error_a / (error_a + error_b), error_b / (error_a + error_b)
    return 1 / (share_a**2 / (n_a - 1) + share_b**2 / (n_b - 1))


def _spread(values: Sequence[float], deviation: float) -> bool:
    """Whether the values differ by more than rounding: the mean of equal floats may not be that float."""
    return deviation > 1e-14 * max(map(abs, values))
