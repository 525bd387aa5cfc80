"""Wilcoxon's signed ranks across tasks: where the power is, as each task counts as one observation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from optathlon.results.statistics.summary import ranks

MOST_EXACT, MOST_EXACT_TIED = 50, 13
"""Up to so many differences p is exact, the second where some tie or are 0; then by the normal approximation."""


def wilcoxon(differences: Sequence[float]) -> float:
    """Two-sided p that the tasks' mean differences lie around 0; those of 0 are split (Demšar 2006, section 3.1.3).

    All must be in one unit, as they are ranked by size. ValueError of none, or of NaN.
    """
    if not differences:
        raise ValueError("no task")
    if any(map(math.isnan, differences)):
        raise ValueError(f"a difference is not a number: {list(differences)}")
    sizes = [abs(d) for d in differences]
    tied, count = [n for n in Counter(sizes).values() if n > 1], len(sizes)
    of_size = list(zip(differences, ranks([(size,) for size in sizes]), strict=True))
    positive, negative = sum(rank for d, rank in of_size if d > 0), sum(rank for d, rank in of_size if d < 0)
    if count <= (MOST_EXACT_TIED if tied or 0 in sizes else MOST_EXACT):
        return _exact([rank for d, rank in of_size if d], min(positive, negative))
    # Half of the ranks of zeros on each side changes no difference of the sums.
    deviation = math.sqrt((count * (count + 1) * (2 * count + 1) - sum(n**3 - n for n in tied) / 2) / 24)
    return math.erfc(abs(positive - negative) / 2 / deviation / math.sqrt(2))


def _exact(signed: Sequence[float], smaller: float) -> float:
    """Twice the share of all assignments of signs to the ranks whose positive ones sum to at most `smaller`.

    Counted rank by rank, in how many ways each sum comes about; in half ranks, as those of ties may be.
    """
    ways = [1] + [0] * round(2 * smaller)
    for rank in signed:
        half_ranks = round(2 * rank)
        for total in range(len(ways) - 1, half_ranks - 1, -1):
            ways[total] += ways[total - half_ranks]
    return min(1.0, 2 * sum(ways) / 2 ** len(signed))
