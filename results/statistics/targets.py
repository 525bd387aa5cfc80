"""Time to a target, and AlgoPerf's score of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

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


def algoperf_score(ratios: Sequence[float], r_max: float = R_MAX) -> float:
    """The integral of the performance profile from 1 to `r_max`, over r_max - 1; 1 is the best, 0 the worst.

    ratios: one a task, as `profiles.time_ratios` gives them. The profile is a step function, so that a task with ratio
    r adds exactly max(0, r_max - r) / (r_max - 1) of its share. (Dahl et al. 2023, section 4.2.) ValueError of ratios
    below 1, NaN, or none.
    """
    if not ratios or not all(r >= 1 for r in ratios):
        raise ValueError("ratios must be at least 1, one a task")
    return math.fsum(max(0.0, r_max - r) for r in ratios) / (r_max - 1) / len(ratios)
