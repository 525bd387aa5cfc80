"""The mean standardized difference over tasks: how many seed deviations one optimizer is ahead on tasks like these."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optathlon.results.statistics.difference import Difference, from_error
from optathlon.results.statistics.summary import deviation, mean


def mean_standardized(gaps: Sequence[float], level: float = 0.95) -> Difference:
    """The mean of `gaps`, one a task, each a difference of means over the task's deviation between seeds.

    Interval and p are a t test over the tasks, which vary as tasks do, so that it speaks of tasks like these and not
    only of these. Only the mean is known of a single task, or of equal gaps. ValueError of none.
    """
    center, spread = mean(gaps), deviation(gaps)
    if center is None:
        raise ValueError("no task")
    if spread is None or spread <= 1e-14 * max(map(abs, gaps)):
        return Difference(delta=center)
    return from_error(center, spread / math.sqrt(len(gaps)), len(gaps) - 1, level)
