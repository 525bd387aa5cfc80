"""Ratios of times to the fastest, which performance profiles and AlgoPerf's score are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def time_ratios(times: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """For each optimizer and task, its time over the best time of any (Dolan & Moré 2002, section 2).

    times: one a task, infinite or NaN where the target was not reached, which makes the ratio infinite. ValueError if a
    time is not positive or the lists are of different lengths. The ratios depend on who else is there.
    """
    reached = {name: [math.inf if math.isnan(t) else t for t in row] for name, row in times.items()}
    if any(t <= 0 for row in reached.values() for t in row):
        raise ValueError("times must be positive")
    best = [min(task) for task in zip(*reached.values(), strict=True)]
    return {
        name: [math.inf if math.isinf(t) else t / b for t, b in zip(row, best, strict=True)]
        for name, row in reached.items()
    }
