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


def workload_time(studies: Sequence[Sequence[float]], trials: int = 5) -> float:
    """Median over studies of the fastest of their trials (AlgoPerf, external tuning: 3 studies of 5 trials).

    A trial that crashed or never reached the target is infinite or NaN. ValueError if a study has not `trials` trials:
    those that are missing are never left out.
    """
    if not studies:
        raise ValueError("no study")
    for number, study in enumerate(studies):
        if len(study) != trials:
            raise ValueError(f"study {number}: has {len(study)} of {trials} trials; give infinity for one that failed")
    fastest = sorted(min(math.inf if math.isnan(t) else t for t in study) for study in studies)
    middle = len(fastest) // 2
    return fastest[middle] if len(fastest) % 2 else (fastest[middle - 1] + fastest[middle]) / 2


def algoperf_score(ratios: Sequence[float], r_max: float = R_MAX) -> float:
    """The integral of the performance profile from 1 to `r_max`, over r_max - 1; 1 is the best, 0 the worst.

    ratios: one a task, as `profiles.time_ratios` gives them. The profile is a step function, so that a task with ratio
    r adds exactly max(0, r_max - r) / (r_max - 1) of its share. (Dahl et al. 2023, section 4.2.) ValueError of ratios
    below 1, NaN, or none.
    """
    if not ratios or not all(r >= 1 for r in ratios):
        raise ValueError("ratios must be at least 1, one a task")
    return math.fsum(max(0.0, r_max - r) for r in ratios) / (r_max - 1) / len(ratios)
