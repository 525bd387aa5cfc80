"""A cap on what a sweep may cost, in hours of one slot, what is spent included."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from optathlon.suite.errors import UsageError
from optathlon.suite.monitoring.forecast import SAME
from optathlon.suite.monitoring.status import Overview


@dataclass(frozen=True)
class Bill:
    """What a sweep has cost and will cost, in hours of one slot."""

    spent: float
    """By the runs that are done."""
    predicted: float
    """For the runs that are left, without the unknown ones."""
    bases: Counter[str]
    """How many of the runs that are left were predicted on which basis; see `forecast.Cost`."""
    unknown: Counter[str]
    """How many runs of each task are like none that was ever measured."""

    @property
    def total(self) -> float:
        """Of what is known."""
        return self.spent + self.predicted


def bill(overview: Overview, retry: bool = False) -> Bill:
    """Returns what the sweep of `overview` has cost and will cost; with `retry` also its runs that failed for good."""
    forecast, failed = overview.forecast, set(overview.failed) if retry else set()
    # Workers go on to later looks by themselves, so that these count as if all were needed.
    left = [*overview.todo, *overview.later, *(run for run in overview.plan.runs if run.id in failed)]
    costs = [(run, forecast.cost(run)) for run in left]
    under_way = [(r, r.left, forecast.cost(r.run).slots) for r in overview.running]
    unknown = Counter(run.column for run, cost in costs if cost.seconds is None)
    unknown += Counter(r.run.column for r, seconds, _ in under_way if seconds is None)
    seconds = sum(cost.slots * (cost.seconds or 0.0) for _, cost in costs)
    seconds += sum(slots * (seconds or 0.0) for _, seconds, slots in under_way)
    bases = Counter(cost.basis for _, cost in costs if cost.seconds is not None)
    bases[SAME] += sum(seconds is not None for _, seconds, _ in under_way)
    done = [name for name, state in overview.states.items() if state.kind in ("finished", "diverged")]
    return Bill(forecast.spent(done), seconds / 3600.0, +bases, unknown)


def check(hours: float, overview: Overview, retry: bool = False) -> None:
    """Raises UsageError if runs are left and the whole sweep will cost more than `hours`, or nobody can tell."""
    due = bill(overview, retry)
    if due.total > hours and (due.bases or due.unknown):
        raise UsageError(
            f"budget: {due.spent:.3g} hours of one slot are spent and {due.predicted:.3g} more predicted, but only "
            f"{hours:g} allowed; give it more (--budget), or ask for fewer runs"
        )
    if due.unknown:
        runs = ", ".join(f"{count} of {task}" for task, count in due.unknown.items())
        raise UsageError(
            f"budget: nothing like these runs was ever measured in this store: {runs}; launch a copy of the sweep with "
            "a short protocol.length and one seed first, or this one without a budget"
        )
