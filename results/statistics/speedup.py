"""Speed-up over a reference optimizer, over tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence


def speed_up(reference: Sequence[float], times: Sequence[float], longest: Sequence[float]) -> float:
    """Geometric mean over tasks of the reference's time over the optimizer's, to a target that knows neither.

    longest: the longest runtime allowed on each task; whoever did not reach the target within it (infinity, NaN, or
    later) is given that plus 1, as AlgoPerf does. ValueError of no task or times that are not positive.
    """
    logs = [math.log(_within(r, most) / _within(t, most)) for r, t, most in zip(reference, times, longest, strict=True)]
    if not logs:
        raise ValueError("no task")
    return math.exp(math.fsum(logs) / len(logs))


def _within(time: float, longest: float) -> float:
    if time <= 0:
        raise ValueError(f"time {time!r}: must be positive")
    return time if time <= longest else longest + 1
