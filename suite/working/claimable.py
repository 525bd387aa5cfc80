"""Which runs of a plan a worker may take now, and whether it is worth staying for others."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from optathlon.results import State
from optathlon.results.plan import PlannedRun
from optathlon.results.record import Owner
from optathlon.results.store.process_identity import restarted
from optathlon.suite.planning.ready_runs import wanted

if TYPE_CHECKING:
    from optathlon.suite.working.assignment import Assignment


def free(given: Assignment, owner: Owner, busy: Collection[str]) -> tuple[list[PlannedRun], bool]:
    """The runs that the worker `owner` may take now, in the plan's order, none of `busy`; and whether the end of a run
    that is under way elsewhere may free more for it."""
    states = given.store.states(dict.fromkeys(run.id for run in given.plan.runs))
    open_ = {i for i, state in states.items() if i not in busy and _is_free(state, owner)}
    running = {i for i, state in states.items() if state.kind == "running"} - open_
    runs = wanted(given.store, given.plan, given.stage, states, canary=given.canary)
    mine = [r for r in runs if r.id in open_ and (not given.tasks or r.column in given.tasks)]
    return mine, _waits_for(given, running.difference(busy))


def _is_free(state: State, owner: Owner) -> bool:
    """Whether a run can be claimed by `owner`: also one that an earlier restart of the same job was at."""
    if state.kind == "running":
        return state.owner is not None and restarted(state.owner, owner)
    return state.kind in ("waiting", "stopped")


def _waits_for(given: Assignment, running: Collection[str]) -> bool:
    if not given.leave or given.canary:
        return bool(running)
    return given.stage != "tune" and any(run.id in running and run.role == "tune" for run in given.plan.runs)
