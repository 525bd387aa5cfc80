"""Performance profiles: on what share of tasks, or of runs, an optimizer does at least so well."""

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


def time_profile(ratios: Sequence[float], tau: float) -> float:
    """The share of tasks on which the ratio is finite and at most `tau`."""
    if not ratios:
        raise ValueError("no task")
    return sum(math.isfinite(r) and r <= tau for r in ratios) / len(ratios)


def score_profile(scores: Sequence[Sequence[float | None]], tau: float) -> float:
    """The share of runs, each task counting alike, with a normalized score above `tau`; diverged runs have None.

    (Agarwal et al. 2021, section 4.2.)
    """
    if not scores or not all(scores):
        raise ValueError("every task needs a run")
    shares = [sum(s is not None and s > tau for s in runs) / len(runs) for runs in scores]
    return math.fsum(shares) / len(shares)
