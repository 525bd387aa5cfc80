"""Where a plan stands: read from files, so that it is true whoever runs what, wherever."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from results import Store, free_reports
from results.record import Plan, PlannedRun, Record

KINDS = ("waiting", "running", "stopped", "failed", "finished", "diverged")


@dataclass(frozen=True)
class Running:
    """A run in progress: how far it is, from 0 to 1."""

    run: PlannedRun
    progress: float


@dataclass(frozen=True)
class Overview:
    """Counts of a plan's runs by state, in all and by cell (row, column). Reports whose setting is not selected yet
    count as waiting, or as failed where none can be selected. remaining: hours of one slot, judged by the runs that
    are done; None before any is."""

    plan: Plan
    total: int
    counts: Counter[str]
    cells: dict[tuple[str, str], Counter[str]]
    running: list[Running]
    errors: list[tuple[str, list[str]]]
    remaining: float | None
    states: dict[str, Any] = field(repr=False, default_factory=dict)

    @property
    def left(self) -> int:
        """Runs that are still to be carried out; those that failed for good are not."""
        return self.total - self.counts["finished"] - self.counts["diverged"] - self.counts["failed"]


def overview(store: Store, plan: Plan) -> Overview:
    """Read the state of every run of `plan`."""
    tune = [r for r in plan.runs if r.role == "tune"]
    states = store.states(dict.fromkeys(r.id for r in plan.runs))
    tuned = list(store.records(r.id for r in tune)) if tune else []
    reports = free_reports(plan, tuned, {r.id for r in tune if states[r.id].kind == "failed"})
    cells: dict[tuple[str, str], Counter[str]] = {}
    for run in (*tune, *reports):
        cells.setdefault((run.row, run.column), Counter())[states[run.id].kind] += 1
    free = {(r.row, r.column) for r in reports}
    for cell, seeds in _unselected(plan, free).items():
        tuning_is_over = not any(cells[cell][kind] for kind in ("waiting", "running", "stopped"))
        cells[cell]["failed" if tuning_is_over else "waiting"] += seeds
    counts = sum(cells.values(), Counter())
    running = [
        Running(run, _progress(store, plan, run)) for run in (*tune, *reports) if states[run.id].kind == "running"
    ]
    return Overview(
        plan=plan,
        total=counts.total(),
        counts=counts,
        cells=cells,
        running=running,
        errors=_errors(states),
        remaining=_remaining(store, plan, counts, running, states),
        states=states,
    )


def _unselected(plan: Plan, free: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    seeds: dict[tuple[str, str], set[int]] = {}
    for run in plan.runs:
        if run.role == "report" and (run.row, run.column) not in free:
            seeds.setdefault((run.row, run.column), set()).add(run.seed)
    return {cell: len(found) for cell, found in seeds.items()}


def _progress(store: Store, plan: Plan, run: PlannedRun) -> float:
    length = plan.head.problems[run.problem]["protocol"]["length"]
    times = [event["time"] for event in store.events(run.id) if "time" in event]
    return min(1.0, times[-1] / length) if times else 0.0


def _errors(states: dict[str, Any]) -> list[tuple[str, list[str]]]:
    grouped: dict[str, list[str]] = {}
    for name, state in states.items():
        if state.kind == "failed":
            grouped.setdefault(state.reason, []).append(name)
    return sorted(grouped.items(), key=lambda item: -len(item[1]))


def _remaining(
    store: Store, plan: Plan, counts: Counter[str], running: list[Running], states: dict[str, Any]
) -> float | None:
    done = [name for name, state in states.items() if state.kind == "finished"]
    taken: dict[str, list[float]] = {}
    for record in store.records(done):
        taken.setdefault(record.digests.problem, []).append(_seconds(record))
    if not taken:
        return None
    typical = {problem: statistics.median(seconds) for problem, seconds in taken.items()}
    anywhere = statistics.median(typical.values())
    cost = sum(typical.get(r.run.problem, anywhere) * (1.0 - r.progress) for r in running)
    waiting = counts["waiting"] + counts["stopped"]
    problems = [r.problem for r in plan.runs if states[r.id].kind in ("waiting", "stopped")]
    mean = statistics.fmean(typical.get(p, anywhere) for p in problems) if problems else 0.0
    return (cost + waiting * mean) / 3600.0


def _seconds(record: Record) -> float:
    clock = record.provenance.get("clock")
    seconds = clock.get("seconds") if isinstance(clock, dict) else None
    return float(seconds) if isinstance(seconds, int | float) else 0.0
