"""Which runs of a plan a worker may take now, and whether it stays for those that others carry out."""

from __future__ import annotations

from collections.abc import Collection

from optathlon.results import State
from optathlon.results.plan import PlannedRun
from optathlon.results.record import Owner
from optathlon.results.store.process_identity import restarted
from optathlon.suite.planning.ready_runs import ready_runs
from optathlon.suite.working.assignment import Assignment


def free_runs(assignment: Assignment, owner: Owner, busy: Collection[str]) -> tuple[list[PlannedRun], bool]:
    """Returns the runs that the worker `owner` may take now, in the plan's order, none of `busy`; and whether the end
    of a run that is under way elsewhere may free more for it."""
    plan, store = assignment.plan, assignment.store
    states = store.states(dict.fromkeys(run.id for run in plan.runs))
    claimable = {i for i, state in states.items() if i not in busy and _can_be_claimed(state, owner)}
    running = {i for i, state in states.items() if state.kind == "running"} - claimable
    runs = ready_runs(store, plan, assignment.stage, states, assignment.scope, canary=assignment.canary)
    return [run for run in runs if run.id in claimable], _stays_for(assignment, running.difference(busy))


def _can_be_claimed(state: State, owner: Owner) -> bool:
    """Whether a run can be claimed by `owner`: also one that an earlier restart of the same job was at."""
    if state.kind == "running":
        return state.owner is not None and restarted(state.owner, owner)
    return state.kind in ("waiting", "stopped")


def _stays_for(assignment: Assignment, running: Collection[str]) -> bool:
    """Whether a worker stays for what is `running` elsewhere. One that is to leave stays only for what holds its own
    runs back: canaries, tuning runs before the reports of their cell, and a look before the seeds of the next."""
    looks = bool(assignment.plan.head.looks) and assignment.stage != "tune"
    if not assignment.leave or assignment.canary or looks:
        return bool(running)
    tuning = {run.id for run in assignment.plan.runs if run.role == "tune"}
    return assignment.stage != "tune" and not tuning.isdisjoint(running)
