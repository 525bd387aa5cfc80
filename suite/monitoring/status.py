"""Where a plan stands. Read from the store's files alone, so that it holds for runs of any user on any machine."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from optathlon.results import ReportRuns, State, Store
from optathlon.results.plan import Plan, PlannedRun
from optathlon.results.scores import number
from optathlon.results.store.refusals import refusals
from optathlon.suite import error_text, failures
from optathlon.suite.monitoring.forecast import Forecast, Pace, resolved
from optathlon.suite.planning.ready_runs import Canaries, reports_called_for

QUIET_SECONDS = 3600.0
"""Longer than an evaluation or the first look at the data should take."""

LEFT = ("waiting", "running", "stopped")
"""The states of runs that are still to be carried out."""
KINDS = ("waiting", "running", "stopped", "failed", "finished", "diverged")
"""The states of runs, in the order in which they are shown."""

Cell = tuple[str, str]
"""Row and column."""

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?")


class Running(msgspec.Struct, frozen=True):
    """A run in progress."""

    run: PlannedRun
    progress: float
    """From 0 to 1."""
    speed: float | None
    """Updates per second; None before that is known."""
    left: float | None
    """Seconds; None before that is known."""
    host: str
    quiet: float = 0.0
    """For how many seconds it has written no event, while its process says that it is alive."""

    @property
    def hangs(self) -> bool:
        """Whether it has written nothing for longer than any step should take."""
        return self.quiet >= QUIET_SECONDS


class Trouble(msgspec.Struct, frozen=True):
    """Runs whose newest attempts failed alike."""

    failure: str
    """The class of the failure, a key of failures.CLASSES."""
    reason: str
    """The line by which the newest of the failures is known."""
    runs: list[str]
    final: int
    """How many of the runs failed for good; the others are tried again."""
    hosts: list[str]

    @property
    def what(self) -> str:
        """The class of the failure in words."""
        return failures.known(self.failure).what

    @property
    def advice(self) -> str:
        """What the user can do."""
        return failures.advice(self.failure, self.runs[0], self.hosts)


class Held(msgspec.Struct, frozen=True):
    """Runs that wait for their canary, or that workers refused."""

    why: str
    runs: list[str]
    hosts: list[str]
    """Where workers refused them."""


class Overview(msgspec.Struct, frozen=True):
    """Where a plan stands."""

    plan: Plan
    total: int
    """Runs of the plan; where settings are selected, one report run per cell and seed."""
    counts: Counter[str]
    """Runs by state. Reports whose setting is not selected yet count as waiting; as failed, if none can be selected."""
    cells: dict[Cell, Counter[str]]
    """`counts` by cell."""
    running: list[Running]
    errors: list[Trouble]
    held: list[Held]
    remaining: float | None
    """Hours of one slot that what is left will take, without the `unknown` runs; None if all of it is unknown."""
    unknown: int
    """How many runs are like none that was measured."""
    eta: float | None
    """Seconds until all is done if as many runs go on at once as do now, unknown runs taken for average ones; None if
    none runs."""
    states: dict[str, State]
    """Of every run, by id."""
    todo: list[PlannedRun]
    """What is still to be started."""
    later: list[PlannedRun]
    """Runs that later looks may ask for, if comparisons are not decided before."""
    forecast: Forecast

    @property
    def left(self) -> int:
        """Runs that are still to be carried out; those that failed for good are not."""
        return self.total - self.counts["finished"] - self.counts["diverged"] - self.counts["failed"]

    @property
    def failed(self) -> list[str]:
        """Ids of the runs that failed for good."""
        return [name for name, state in self.states.items() if state.kind == "failed"]


def overview(store: Store, plan: Plan) -> Overview:
    """Returns where `plan` stands, by the state of each of its runs."""
    tune = [r for r in plan.runs if r.role == "tune"]
    states = store.states(dict.fromkeys(r.id for r in plan.runs))
    called_for = reports_called_for(store, plan, states)
    reports = called_for.free
    cells: dict[Cell, Counter[str]] = {}
    for run in (*tune, *reports):
        cells.setdefault((run.row, run.column), Counter())[states[run.id].kind] += 1
    todo = [r for r in (*tune, *reports) if states[r.id].kind in ("waiting", "stopped")]
    tuning = {(run.row, run.column) for run in tune if states[run.id].kind in LEFT}
    for cell, runs in _unselected(plan, called_for).items():
        cells.setdefault(cell, Counter())["waiting" if cell in tuning else "failed"] += len(runs)
        todo += runs if cell in tuning else []
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
        later=called_for.later,
        forecast=forecast,
    )


def _typical(forecast: Forecast, plan: Plan) -> float:
    """Returns the average seconds of the runs of `plan` whose cost is known, done or not; 0 if there are none."""
    known = [cost.seconds for cost in map(forecast.cost, plan.runs) if cost.seconds is not None]
    return sum(known) / len(known) if known else 0.0


def _eta(seconds: list[float], running: list[Running]) -> float | None:
    """Returns the seconds until runs that take `seconds` each are done if as many go on at once as are `running`."""
    eta = max(sum(seconds) / len(running), *(r.left or 0.0 for r in running)) if running and seconds else 0.0
    return eta or None


def label(run: PlannedRun) -> str:
    """Returns a planned run's name for people, task/row/s0; in a sweep that tunes, several settings share one."""
    return f"{run.column}/{run.row}/s{run.seed}"


def _unselected(plan: Plan, called_for: ReportRuns) -> dict[Cell, list[PlannedRun]]:
    """Returns one report run per seed that is asked of a cell and has no setting yet; which setting's does not matter,
    since it stands for the one that will be selected."""
    chosen = {(run.row, run.column, run.seed) for run in called_for.free}
    cells: dict[Cell, dict[int, PlannedRun]] = {}
    for run in plan.runs:
        cell = (run.row, run.column)
        if run.role == "report" and cell in called_for.unchosen and (*cell, run.seed) not in chosen:
            cells.setdefault(cell, {}).setdefault(run.seed, run)
    return {cell: list(runs.values())[: called_for.unchosen[cell]] for cell, runs in cells.items()}


def _running(store: Store, plan: Plan, run: PlannedRun, state: State, forecast: Forecast) -> Running:
    length = number(resolved(plan.head.problems[run.problem], plan.head.settings[run.setting]).get("length")) or 0.0
    events = store.latest(run.id, state.attempt)
    time, pace, cost = _time(store, run, events), Pace.from_events(events), forecast.cost(run).seconds
    progress = min(1.0, max(0.0, time / length)) if length else 0.0
    left = max(0.0, (length - time) / pace.time_rate) if pace and pace.time_rate else None
    if left is None and cost is not None:
        left = cost * (1.0 - progress)
    host = state.owner.host if state.owner else ""
    return Running(run, progress, pace.updates if pace else None, left, host, _quiet(store, run.id, state.attempt))


def _quiet(store: Store, run_id: str, attempt: int) -> float:
    """Returns the seconds between an attempt's last event and its last heartbeat, both by the file server's clock."""
    work = store.work(run_id)
    try:
        heartbeat = (work / f"attempt-{attempt:04d}.json").stat().st_mtime
        last_event = (work / f"events-{attempt:04d}.jsonl").stat().st_mtime
    except OSError:
        return 0.0
    return max(0.0, heartbeat - last_event)


def _time(store: Store, run: PlannedRun, events: list[dict[str, Any]]) -> float:
    """Returns how far an attempt is by its `events`, in the protocol's unit; where it began, before there are any."""
    timed = [event for event in events if "time" in event]
    if not timed:
        began = next((event["resumed"] for event in events if "resumed" in event), 0)
        timed = [
            event for event in store.events(run.id) if {"time", "update"} <= event.keys() and event["update"] <= began
        ]
    return timed[-1]["time"] if timed else 0.0


def _errors(states: Mapping[str, State]) -> list[Trouble]:
    """Groups failures whose messages differ in numbers only; the newest first."""
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
    """Returns the line by which a failure is known: the first, as further lines are advice (CUDA's, say); but the last
    where a data worker raised it, as torch puts that one's traceback in front."""
    lines = [line.strip() for line in error_text.legible(state.reason).splitlines() if line.strip()] or [""]
    return lines[-1] if "Original Traceback" in state.reason else lines[0]


def _held(store: Store, plan: Plan, states: Mapping[str, State], todo: list[PlannedRun]) -> list[Held]:
    refused = refusals(store, plan.head.name)
    launched = store.submissions(plan.head.name)
    canaries = Canaries(store, plan, states) if launched and launched[-1].get("canary") else None
    groups: dict[str, tuple[list[str], set[str]]] = {}
    for run in todo:
        if run.id in refused:
            why = error_text.legible(f"refused: {refused[run.id].why}")
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
