"""How many seeds would decide a comparison."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from optathlon.results.statistics.summary import mean
from optathlon.results.statistics.tails.student import quantile

POWER = 0.8
MOST = 1000


def pooled_deviation(samples: Iterable[Sequence[float]]) -> float | None:
    """The common standard deviation of `samples`, each around its own mean; None if none has two values."""
    squares, df = [], 0
    for values in samples:
        center = mean(values)
        if center is not None and len(values) > 1:
            squares += [(v - center) ** 2 for v in values]
            df += len(values) - 1
    return math.sqrt(math.fsum(squares) / df) if df else None


def power(delta: float, deviation: float, n: int, alpha: float = 0.05, df: float | None = None) -> float:
    """The chance that a two-sided t test at `alpha`, n seeds each, rejects if the means truly differ by `delta`.

    deviation: of one run. df: of the test's variance; by default that of a pooled one, 2 n - 2. By the noncentral t
    distribution. ValueError unless n >= 2 and deviation > 0.
    """
    if n < 2 or deviation <= 0:
        raise ValueError(f"n = {n}, deviation = {deviation!r}: power needs n >= 2 and a deviation above 0")
    df = 2.0 * n - 2 if df is None else df
    return rejection_chance(abs(delta) / (deviation * math.sqrt(2 / n)), df, quantile(1 - alpha, df))


def rejection_chance(shift: float, df: float, limit: float) -> float:
    """The chance that |t| is beyond `limit` if t is noncentral by `shift` >= 0, in standard errors."""
    from scipy.special import nctdtr

    if shift > 10 * limit:
        return 1.0
    upper, lower = float(nctdtr(df, shift, limit)), float(nctdtr(df, shift, -limit))
    return 1 - upper + (lower if math.isfinite(lower) else 0.0)


def shift_needed(df: float, limit: float, chance: float = POWER) -> float:
    """The least noncentrality, in standard errors, at which `rejection_chance` reaches `chance`; by bisection."""
    low, high = 0.0, 10 * limit
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if rejection_chance(middle, df, limit) >= chance else (middle, high)
    return high


def seeds_needed(power_at: Callable[[int], float], chance: float = POWER) -> int | None:
    """The smallest n of at least 2 at which `power_at`, which grows, reaches `chance`; None if 1000 are not enough.

    An observed difference that was picked because it is large is larger than the true one: the true n is then higher.
    """
    if power_at(MOST) < chance:
        return None
    low, high = 1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_at(middle) >= chance else (middle, high)
    return high
