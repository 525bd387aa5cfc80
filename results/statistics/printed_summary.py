"""Our runs beside a mean and a deviation that are printed: of how many runs is known, of which ddof is not."""

from __future__ import annotations

import math

from optathlon.results.statistics.difference import Difference, from_error
from optathlon.results.statistics.welch import satterthwaite, welch_error


def largest_deviation(printed: float, n: int | None) -> float:
    """The sample deviation (ddof = 1) that a printed one of `n` runs may stand for: it is larger if that has ddof = 0,
    as NumPy's has. Of one run, or of nobody knows how many, the printed one."""
    return printed * math.sqrt(n / (n - 1)) if n is not None and n > 1 else printed


def less_printed(delta: float, std: float, n: int, printed: float, n_printed: int, level: float = 0.95) -> Difference:
    """The difference `delta` of our mean of `n` runs less a printed one, by Welch's test made more careful.

    The printed deviation is taken for the largest that it may stand for. Degrees of freedom are no more than those of
    two samples of one variance: Welch's rise where the deviation of three runs happens to be small, so that ten runs of
    ours would differ from their equals in 6 to 9 % of cases (docs/statistics.md). Counts are at least two, deviations
    not both 0.
    """
    theirs = largest_deviation(printed, n_printed)
    df = min(satterthwaite(std, n, theirs, n_printed), satterthwaite(1.0, n, 1.0, n_printed))
    return from_error(delta, welch_error(std, n, theirs, n_printed), df, level)
