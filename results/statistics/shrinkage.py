"""Means drawn towards each other: the best of several is better than its truth, as it was picked for being best."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optathlon.results.statistics.summary import deviation, mean


def shrunken(means: Sequence[float], errors: Sequence[float]) -> list[float]:
    """`means` drawn towards their own mean as far as their standard errors explain their scatter (Morris 1983).

    Each keeps the share B = scatter / (scatter + error²) of its distance; the scatter is that of the means beyond their
    errors. Fewer than four means stay as they are: too few to tell a scatter.
    """
    center, spread = mean(means), deviation(means)
    if center is None or spread is None or len(means) < 4:
        return list(means)
    noise = math.fsum(error * error for error in errors) / len(errors)
    scatter = max(0.0, spread * spread - noise)
    # The scatter is itself estimated: a little less is taken away than its expectation says.
    least = (len(means) - 3) / (len(means) - 1)
    return [
        # Errors whose square is no number above 0 say nothing: such a mean stays.
        center + (1 - least * error**2 / (scatter + error**2)) * (value - center) if error**2 > 0 else value
        for value, error in zip(means, errors, strict=True)
    ]
