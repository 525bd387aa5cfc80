"""A cap on what a sweep may cost, in hours of one slot, what is spent included."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from optathlon.suite.errors import UsageError
from optathlon.suite.monitoring.forecast import SAME
from optathlon.suite.monitoring.status import Overview


@dataclass(frozen=True)
class Bill:
    """Hours of one slot. spent: by runs that are done. predicted: for what is left. bases: by how many runs what is
    left was judged by what (see suite.forecast). unknown: by task, runs like which nothing was ever measured."""

    spent: float
    predicted: float
    bases: Counter[str]
    unknown: Counter[str]

    @property
    def total(self) -> float:
        return self.spent + self.predicted


def bill(seen: Overview, retry: bool = False) -> Bill:
    """What `seen` has cost and will cost; with `retry` also the runs that failed for good."""
    forecast, failed = seen.forecast, set(seen.failed) if retry else set()
    left = [*seen.todo, *(run for run in seen.plan.runs if run.id in failed)]
    costs = [(run, forecast.cost(run)) for run in left]
    under_way = [(r, r.left, forecast.cost(r.run).slots) for r in seen.running]
    unknown = Counter(run.column for run, cost in costs if cost.seconds is None)
    unknown += Counter(r.run.column for r, seconds, _ in under_way if seconds is None)
    seconds = sum(cost.slots * (cost.seconds or 0.0) for _, cost in costs)
    seconds += sum(slots * (seconds or 0.0) for _, seconds, slots in under_way)
    bases = Counter(cost.basis for _, cost in costs if cost.seconds is not None)
    bases[SAME] += sum(seconds is not None for _, seconds, _ in under_way)
    done = [name for name, state in seen.states.items() if state.kind in ("finished", "diverged")]
    return Bill(forecast.spent(done), seconds / 3600.0, +bases, unknown)


def check(hours: float, seen: Overview, retry: bool = False) -> None:
    """Raise UsageError if something is left of `seen` and it will have cost more than `hours`, or nobody can tell."""
    due = bill(seen, retry)
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
