"""How many seeds would decide a comparison."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from optathlon.results.statistics.student import quantile
from optathlon.results.statistics.summary import mean

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


def power(delta: float, deviation: float, n: int, alpha: float = 0.05) -> float:
    """The chance that a two-sided t test at `alpha`, n seeds each, rejects if the means truly differ by `delta`.

    deviation: of one run. By the noncentral t distribution with 2 n - 2 degrees of freedom; Welch's test is
    weaker with few seeds (by 0.1 at n = 3). ValueError unless n >= 2 and deviation > 0.
    """
    if n < 2 or deviation <= 0:
        raise ValueError(f"n = {n}, deviation = {deviation!r}: power needs n >= 2 and a deviation above 0")
    from scipy.special import nctdtr

    df, shift = 2 * n - 2, abs(delta) / (deviation * math.sqrt(2 / n))
    limit = quantile(1 - alpha, df)
    if shift > 10 * limit:
        return 1.0
    upper, lower = float(nctdtr(df, shift, limit)), float(nctdtr(df, shift, -limit))
    return 1 - upper + (lower if math.isfinite(lower) else 0.0)


def seeds_needed(delta: float, deviation: float, alpha: float = 0.05, target: float = POWER) -> int | None:
    """The smallest n of at least 2 at which `power` reaches `target`; None if 1000 are not enough.

    An observed delta that was picked because it is large is larger than the true one: the true n is then higher.
    """
    if power(delta, deviation, MOST, alpha) < target:
        return None
    low, high = 1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(delta, deviation, middle, alpha) >= target else (middle, high)
    return high
