"""Which runs of a plan may be carried out now: a pure function of the plan and of what the store holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from optathlon.results import ReportRuns, State, Store, report_runs
from optathlon.results.plan import Plan, PlannedRun
from optathlon.suite.identity import canonical
from optathlon.suite.planning.scope import ALL, Scope

Stage = Literal["tune", "report", "all"]
Kind = tuple[str, str]


def ready_runs(
    store: Store,
    plan: Plan,
    stage: Stage,
    states: Mapping[str, State] | None = None,
    scope: Scope = ALL,
    *,
    canary: bool = False,
) -> list[PlannedRun]:
    """Returns the runs of `scope` in `plan` that may start now at `stage`: tuning, and reports of cells whose tuning is
    complete.

    states: of all runs of the plan, if they are known already. canary: of each kind (problem, optimizer, protocol of
    its own) only the first run until one has saved its first checkpoint or has its outcome.
    """
    states = store.states(dict.fromkeys(r.id for r in plan.runs)) if states is None else states
    tune = [r for r in plan.runs if r.role == "tune"]
    runs = tune if stage in ("tune", "all") else []
    if stage != "tune":
        runs = runs + reports_called_for(store, plan, states).free
    runs = [run for run in runs if scope.covers(run)]
    if not canary:
        return runs
    canaries = Canaries(store, plan, states, scope)
    return [r for r in runs if canaries.awaited(r) is None]


def reports_called_for(store: Store, plan: Plan, states: Mapping[str, State]) -> ReportRuns:
    """Returns the report runs that the records of `store` call for. states: of all runs of the plan."""
    # Without looks only tuning runs tell which reports are wanted, and a sweep has many more of the others.
    telling = [r.id for r in plan.runs if r.role == "tune" or plan.head.looks]
    failed = {run for run in telling if states[run].kind == "failed"}
    return report_runs(plan, list(store.records(dict.fromkeys(telling), brief=True)) if telling else [], failed)


class Canaries:
    """One probe run per kind (problem, optimizer, protocol of its own), of those in `scope`.

    The others of a kind wait until a run of it has saved a checkpoint or finished. `held` are the probes of the kinds
    that still wait, in the plan's order.
    """

    def __init__(self, store: Store, plan: Plan, states: Mapping[str, State], scope: Scope = ALL) -> None:
        own = {digest: canonical([s["optimizer"], s.get("protocol", {})]) for digest, s in plan.head.settings.items()}
        self._kinds = {(run.problem, run.setting): (run.problem, own[run.setting]) for run in plan.runs}
        first: dict[Kind, PlannedRun] = {}
        passed: set[Kind] = set()
        for run in plan.runs:
            kind = self._kinds[run.problem, run.setting]
            # Whoever waits for a probe must be able to carry it out: workers of other shapes may come much later.
            if scope.covers(run):
                first.setdefault(kind, run)
            if kind not in passed and _passed(store, run, states[run.id]):
                passed.add(kind)
        self._held = {kind: run for kind, run in first.items() if kind not in passed}
        self.held = list(self._held.values())

    def awaited(self, run: PlannedRun) -> PlannedRun | None:
        """The canary that `run` waits for; None if it may be carried out."""
        canary = self._held.get(self._kinds[run.problem, run.setting])
        return canary if canary and canary.id != run.id else None


def _passed(store: Store, run: PlannedRun, state: State) -> bool:
    return state.kind in ("finished", "diverged") or bool(state.attempt and store.moved(run.id))
