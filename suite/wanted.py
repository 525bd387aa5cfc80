"""Which runs of a plan may be carried out now: a pure function of the plan and of what the store holds."""

from __future__ import annotations

from typing import Literal

from results import Store, free_reports
from results.record import Plan, PlannedRun

Stage = Literal["tune", "report", "all"]


def wanted(store: Store, plan: Plan, stage: Stage) -> list[PlannedRun]:
    """The runs that `stage` of `plan` calls for now: tuning, and reports of cells whose tuning is complete."""
    tune = [r for r in plan.runs if r.role == "tune"] if stage in ("tune", "all") else []
    if stage == "tune":
        return tune
    records = list(store.records(r.id for r in plan.runs if r.role == "tune"))
    failed = {
        i
        for i, s in store.states(dict.fromkeys(r.id for r in plan.runs if r.role == "tune")).items()
        if s.kind == "failed"
    }
    return tune + free_reports(plan, records, failed)
