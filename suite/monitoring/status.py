"""Where a plan stands: read from files, so that it is true whoever runs what, wherever."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from optathlon.results import State, Store, free_reports
from optathlon.results.plan import Plan, PlannedRun
from optathlon.results.scores import number
from optathlon.results.store.refusals import refusals
from optathlon.suite import failures, readable
from optathlon.suite.monitoring.forecast import Forecast, Pace, resolved
from optathlon.suite.planning.ready_runs import Canaries

QUIET_SECONDS = 3600.0
KINDS = ("waiting", "running", "stopped", "failed", "finished", "diverged")
Cell = tuple[str, str]
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?")


@dataclass(frozen=True)
class Running:
    """A run in progress. progress: from 0 to 1. speed: updates a second, and left: seconds, both None before they can
    be told. quiet: for so many seconds it has told of no update, while its process says that it is alive."""

    run: PlannedRun
    progress: float
    speed: float | None
    left: float | None
    host: str
    quiet: float = 0.0

    @property
    def hangs(self) -> bool:
        """Whether it is quiet for longer than an evaluation or the first look at the data should take."""
        return self.quiet >= QUIET_SECONDS


@dataclass(frozen=True)
class Trouble:
    """Runs whose newest start failed alike. reason: the last line of the newest one's traceback. failure: its class in
    suite.failures. final: how many of them failed for good; the others are tried again."""

    failure: str
    reason: str
    runs: list[str]
    final: int
    hosts: list[str]

    @property
    def what(self) -> str:
        return failures.known(self.failure).what

    @property
    def advice(self) -> str:
        return failures.advice(self.failure, self.runs[0], self.hosts)


@dataclass(frozen=True)
class Held:
    """Runs that wait, and why: for their canary, or because workers on `hosts` refused them."""

    why: str
    runs: list[str]
    hosts: list[str]


@dataclass(frozen=True)
class Overview:
    """Counts of a plan's runs by state, in all and by cell (row, column). Reports whose setting is not selected yet
    count as waiting, or as failed where none can be selected. remaining: hours of one slot that what is left will take,
    without the `unknown` runs like which nothing was measured; None if that is all of them. eta: seconds until all is
    done, the unknown runs taken for average ones, if as many go on at once as do now; None if none does."""

    plan: Plan
    total: int
    counts: Counter[str]
    cells: dict[Cell, Counter[str]]
    running: list[Running]
    errors: list[Trouble]
    held: list[Held]
    remaining: float | None
    unknown: int
    eta: float | None
    states: dict[str, State] = field(repr=False)
    todo: list[PlannedRun] = field(repr=False)
    forecast: Forecast = field(repr=False)

    @property
    def left(self) -> int:
        """Runs that are still to be carried out; those that failed for good are not."""
        return self.total - self.counts["finished"] - self.counts["diverged"] - self.counts["failed"]

    @property
    def failed(self) -> list[str]:
        """Ids of the runs that failed for good."""
        return [name for name, state in self.states.items() if state.kind == "failed"]


def overview(store: Store, plan: Plan) -> Overview:
    """Read the state of every run of `plan`."""
    tune = [r for r in plan.runs if r.role == "tune"]
    states = store.states(dict.fromkeys(r.id for r in plan.runs))
    tuned = store.records(r.id for r in tune) if tune else []
    reports = free_reports(plan, tuned, {r.id for r in tune if states[r.id].kind == "failed"})
    cells: dict[Cell, Counter[str]] = {}
    for run in (*tune, *reports):
        cells.setdefault((run.row, run.column), Counter())[states[run.id].kind] += 1
    todo = [r for r in (*tune, *reports) if states[r.id].kind in ("waiting", "stopped")]
    for cell, runs in _unselected(plan, reports).items():
        tuning_is_over = not any(cells[cell][kind] for kind in ("waiting", "running", "stopped"))
        cells[cell]["failed" if tuning_is_over else "waiting"] += len(runs)
        todo += [] if tuning_is_over else runs
    counts = sum(cells.values(), Counter())
    forecast = Forecast(store, plan, states)
    running = [
        _running(store, plan, r, states[r.id], forecast) for r in (*tune, *reports) if states[r.id].kind == "running"
    ]
    costs = [(c.seconds, c.slots) for c in map(forecast.cost, todo)]
    costs += [(r.left, forecast.cost(r.run).slots) for r in running]
    known = [(seconds, slots) for seconds, slots in costs if seconds is not None]
    return Overview(
        plan=plan,
        total=counts.total(),
        counts=counts,
        cells=cells,
        running=running,
        errors=_errors(states),
        held=_held(store, plan, states, todo),
        remaining=sum(seconds * slots for seconds, slots in known) / 3600.0 if known or not costs else None,
        unknown=len(costs) - len(known),
        eta=_eta([_typical(forecast, plan) if seconds is None else seconds for seconds, _ in costs], running),
        states=states,
        todo=todo,
        forecast=forecast,
    )


def _typical(forecast: Forecast, plan: Plan) -> float:
    """Seconds that the runs of `plan` take on average of which anything is known, done or not; 0 if nothing is."""
    known = [cost.seconds for cost in map(forecast.cost, plan.runs) if cost.seconds is not None]
    return sum(known) / len(known) if known else 0.0


def _eta(seconds: list[float], running: list[Running]) -> float | None:
    """Seconds until runs that take `seconds` are done if as many go on at once as are `running`."""
    eta = max(sum(seconds) / len(running), *(r.left or 0.0 for r in running)) if running and seconds else 0.0
    return eta or None


def label(run: PlannedRun) -> str:
    """A planned run's name for people, task/row/s0; in a sweep that tunes, several settings may share it."""
    return f"{run.column}/{run.row}/s{run.seed}"


def _unselected(plan: Plan, reports: Iterable[PlannedRun]) -> dict[Cell, list[PlannedRun]]:
    """Of each cell that has no selected setting yet one report run a seed, whichever setting it will be."""
    free = {(r.row, r.column) for r in reports}
    cells: dict[Cell, dict[int, PlannedRun]] = {}
    for run in plan.runs:
        if run.role == "report" and (run.row, run.column) not in free:
            cells.setdefault((run.row, run.column), {}).setdefault(run.seed, run)
    return {cell: list(runs.values()) for cell, runs in cells.items()}


def _running(store: Store, plan: Plan, run: PlannedRun, state: State, forecast: Forecast) -> Running:
    length = number(resolved(plan.head.problems[run.problem], plan.head.settings[run.setting]).get("length")) or 0.0
    events = store.latest(run.id, state.attempt)
    at, pace, cost = _time(store, run, events), Pace.of(events), forecast.cost(run).seconds
    progress = min(1.0, max(0.0, at / length)) if length else 0.0
    left = max(0.0, (length - at) / pace.time_rate) if pace and pace.time_rate else None
    if left is None and cost is not None:
        left = cost * (1.0 - progress)
    host = state.owner.host if state.owner else ""
    return Running(run, progress, pace.updates if pace else None, left, host, _quiet(store, run.id, state.attempt))


def _quiet(store: Store, run_id: str, attempt: int) -> float:
    """How long after its last word attempt number `attempt` beat its heart, both by the file server's clock."""
    work = store.work(run_id)
    try:
        beat, said = (
            (work / name).stat().st_mtime for name in (f"attempt-{attempt:04d}.json", f"events-{attempt:04d}.jsonl")
        )
    except OSError:
        return 0.0
    return max(0.0, beat - said)


def _time(store: Store, run: PlannedRun, events: list[dict[str, Any]]) -> float:
    """How far the attempt that said `events` is, in the protocol's unit; before it says so, where it began."""
    told = [event for event in events if "time" in event]
    if not told:
        began = next((event["resumed"] for event in events if "resumed" in event), 0)
        told = [
            event for event in store.events(run.id) if {"time", "update"} <= event.keys() and event["update"] <= began
        ]
    return told[-1]["time"] if told else 0.0


def _errors(states: Mapping[str, State]) -> list[Trouble]:
    """Failures alike but for the numbers in their messages, the newest first."""
    alike: dict[tuple[str, str], list[tuple[str, State]]] = {}
    for name, state in states.items():
        if state.kind == "failed" or state.failure:
            key = state.failure, _NUMBER.sub("#", last_line(state))
            alike.setdefault(key, []).append((name, state))
    groups = [sorted(group, key=lambda g: g[1].ended, reverse=True) for group in alike.values()]
    groups.sort(key=lambda group: group[0][1].ended, reverse=True)
    return [
        Trouble(
            failure=group[0][1].failure,
            reason=last_line(group[0][1]),
            runs=[name for name, _ in group],
            final=sum(state.kind == "failed" for _, state in group),
            hosts=sorted({state.owner.host for _, state in group if state.owner}),
        )
        for group in groups
    ]


def last_line(state: State) -> str:
    """The line by which a failure is known: what a data worker raised is told on the last line of the message, what
    others add to the first (CUDA) is advice."""
    lines = [line.strip() for line in readable.legible(state.reason).splitlines() if line.strip()] or [""]
    return lines[-1] if "Original Traceback" in state.reason else lines[0]


def _held(store: Store, plan: Plan, states: Mapping[str, State], todo: list[PlannedRun]) -> list[Held]:
    refused = refusals(store, plan.head.name)
    launched = store.submissions(plan.head.name)
    canaries = Canaries(store, plan, states) if launched and launched[-1].get("canary") else None
    groups: dict[str, tuple[list[str], set[str]]] = {}
    for run in todo:
        if run.id in refused:
            why = readable.legible(f"refused: {refused[run.id].why}")
            runs, hosts = groups.setdefault(why, ([], set()))
            hosts.add(refused[run.id].host)
        elif canaries and (canary := canaries.awaited(run)):
            runs, _ = groups.setdefault(_waits_for(canary, states[canary.id]), ([], set()))
        else:
            continue
        runs.append(run.id)
    return [Held(why, runs, sorted(hosts)) for why, (runs, hosts) in groups.items()]


def _waits_for(canary: PlannedRun, state: State) -> str:
    what = f"for the canary {label(canary)} ({canary.id}), which"
    if state.kind == "failed":
        return f"{what} failed; correct what it says, then `optathlon retry {canary.id}` and launch again"
    return f"{what} is {state.kind} and has saved no checkpoint yet"
