"""The mean standardized difference over tasks: how many seed deviations one optimizer is ahead on tasks like these."""

from __future__ import annotations

from collections.abc import Sequence

from optathlon.results.statistics.difference import Difference
from optathlon.results.statistics.paired import paired_t


def mean_standardized(gaps: Sequence[float], level: float = 0.95) -> Difference:
    """The mean of `gaps`, one a task, each a difference of means over the task's deviation between seeds.

    Interval and p are a t test over the tasks, which vary as tasks do, so that it speaks of tasks like these and not
    only of these. Only the mean is known of a single task, or of equal gaps. ValueError of none.
    """
    if not gaps:
        raise ValueError("no task")
    return paired_t(gaps, level)
