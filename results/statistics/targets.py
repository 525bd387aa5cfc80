"""Time to a target, ratios of times to the fastest, and AlgoPerf's score of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

R_MAX = 4.0


def time_to_target(points: Iterable[tuple[float, float | None]], target: float, higher_is_better: bool) -> float:
    """The earliest time at which the curve reaches `target`; infinite if it never does.

    points: (time, value) in any order; values that are None or not finite reach nothing.
    """
    sign = 1.0 if higher_is_better else -1.0
    reached = (
        time for time, value in points if value is not None and math.isfinite(value) and sign * (value - target) >= 0
    )
    return min(reached, default=math.inf)


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


def algoperf_score(ratios: Sequence[float], r_max: float = R_MAX) -> float:
    """The integral of the performance profile from 1 to `r_max`, over r_max - 1; 1 is the best, 0 the worst.

    ratios: one a task, as `time_ratios` gives them. The profile is a step function, so that a task with ratio
    r adds exactly max(0, r_max - r) / (r_max - 1) of its share. (Dahl et al. 2023, section 4.2.) ValueError of ratios
    below 1, NaN, or none.
    """
    if not ratios or not all(r >= 1 for r in ratios):
        raise ValueError("ratios must be at least 1, one a task")
    return math.fsum(max(0.0, r_max - r) for r in ratios) / (r_max - 1) / len(ratios)
