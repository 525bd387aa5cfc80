"""Predicts what the runs of a plan will cost, in seconds of one slot, by runs that were measured in the same store."""

from __future__ import annotations

import functools
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from optathlon.results import State, Store
from optathlon.results.plan import Plan, PlannedRun
from optathlon.results.record import Record
from optathlon.results.scores import number
from optathlon.suite.identity import canonical

FREE_OF_COST = ("length", "schedule", "clip_norm", "clip_value", "select", "checkpoint", "restore_best_at", "tags")
"""The fields of a protocol that do not change the time that a unit of its length takes."""

PARTIAL_RUNS = 200
"""Of how many unfinished runs the pace is read; more would cost time and change no median."""

MOST_SLOTS = 1_000_000
MOST_ATTEMPTS = 1000
"""More of them than any run has; a record that says more has been damaged."""

SAME, OTHER_OPTIMIZER, UNKNOWN = "same problem and optimizer", "same problem, other optimizers", "nothing"
"""What a prediction is based on. The same problem is the same task, data and protocol, but for FREE_OF_COST; a run of
another length counts in proportion."""

Shape = str
"""What two runs share that take equally long per unit of length: canonical JSON of it."""


class Cost(msgspec.Struct, frozen=True):
    """What a run takes from its beginning to its outcome."""

    seconds: float | None
    """None where nothing like it was measured."""
    basis: str
    """SAME, OTHER_OPTIMIZER or UNKNOWN."""
    slots: int = 1
    """On how many devices at once."""


class _Measure(msgspec.Struct, frozen=True):
    """How fast a run was."""

    rate: float
    """Seconds per unit of its protocol's length."""
    device: str
    slots: int
    """On how many of such devices."""
    whole: bool
    """Whether the run is finished, so that evaluations and the end are counted."""


class Forecast:
    """Predicted costs of the runs of `plan`, by the records of the whole store and by what its unfinished runs say."""

    def __init__(self, store: Store, plan: Plan, states: Mapping[str, State]) -> None:
        self.store, self.plan = store, plan
        self._shapes: dict[tuple[str, str], tuple[Shape, float]] = {}
        self._costs: dict[tuple[str, str], Cost] = {}
        self.devices: set[str] = set()
        self._states = states
        self._medians: dict[tuple[Shape, str | None], _Measure] = {}

    # Read when a cost is first asked for: of a finished sweep nobody asks, and a store may hold 100,000 records.
    @functools.cached_property
    def _measures(self) -> dict[tuple[Shape, str | None], list[_Measure]]:
        """What is measured of each shape, of all optimizers (None) and of each."""
        measures: dict[tuple[Shape, str | None], list[_Measure]] = {}
        for shape, setting, measure in (*self._of_records(), *self._of_partial_runs()):
            for optimizer in (setting["optimizer"], None):
                measures.setdefault((shape, optimizer), []).append(measure)
        return measures

    def cost(self, run: PlannedRun) -> Cost:
        """Returns the predicted cost of `run`."""
        key = (run.problem, run.setting)
        if key not in self._costs:
            self._costs[key] = self._cost(*key)
        return self._costs[key]

    def spent(self, ids: Iterable[str]) -> float:
        """Returns the hours of one slot that runs with an outcome took, in all their attempts."""
        return sum(_slots(r) * (_seconds(self.store, r) or 0.0) for r in self.store.records(ids)) / 3600.0

    def _cost(self, problem: str, setting: str) -> Cost:
        head = self.plan.head
        shape, length = self._shape(problem, head.problems[problem], head.settings[setting])
        optimizer = head.settings[setting]["optimizer"]
        for basis, like in ((SAME, optimizer), (OTHER_OPTIMIZER, None)) if length else ():
            if typical := self._typical(shape, like):
                return Cost(typical.rate * length, basis, typical.slots)
        return Cost(None, UNKNOWN)

    def _typical(self, shape: Shape, optimizer: str | None) -> _Measure | None:
        """Returns the median measure of a shape, None if there is none.

        On the device that most were measured on; of runs under way only where none is finished.
        """
        key = (shape, optimizer)
        if key in self._measures and key not in self._medians:
            measures = [m for m in self._measures[key] if m.whole] or self._measures[key]
            device, slots = Counter((m.device, m.slots) for m in measures).most_common(1)[0][0]
            rate = statistics.median(m.rate for m in measures if (m.device, m.slots) == (device, slots))
            self.devices.add(device if slots == 1 else f"{slots} x {device}")
            self._medians[key] = _Measure(rate, device, slots, measures[0].whole)
        return self._medians.get(key)

    def _of_records(self) -> Iterator[tuple[Shape, Mapping[str, Any], _Measure]]:
        """Yields shape, setting and measure of each finished run of the store that trained a task of the plan."""
        tasks = {problem["task"] for problem in self.plan.head.problems.values()}
        for record in self.store.records():
            if record.status == "finished" and record.problem.get("task") in tasks:
                shape, length = self._shape(record.digests.problem, record.problem, record.setting)
                seconds = _seconds(self.store, record)
                if seconds and length:
                    device = str(_machine(record).get("device", ""))
                    yield shape, record.setting, _Measure(seconds / length, device, _slots(record), True)

    def _of_partial_runs(self) -> Iterator[tuple[Shape, Mapping[str, Any], _Measure]]:
        """Yields the same by the pace of the plan's unfinished runs, of the first PARTIAL_RUNS."""
        begun = (r for r in self.plan.runs if self._states[r.id].kind in ("running", "stopped"))
        for run, _ in zip(begun, range(PARTIAL_RUNS), strict=False):
            problem, setting = self.plan.head.problems[run.problem], self.plan.head.settings[run.setting]
            pace = Pace.from_events(self.store.latest(run.id, self._states[run.id].attempt))
            if pace and pace.time_rate:
                shape, _ = self._shape(run.problem, problem, setting)
                yield shape, setting, _Measure(1.0 / pace.time_rate, "runs under way", 1, False)

    def _shape(
        self, problem_digest: str, problem: Mapping[str, Any], setting: Mapping[str, Any]
    ) -> tuple[Shape, float]:
        """Returns the shape of a run and the length of its protocol."""
        changes = canonical(own) if (own := setting.get("protocol")) else ""
        if (problem_digest, changes) not in self._shapes:
            protocol = resolved(problem, setting)
            kept = {key: value for key, value in protocol.items() if key not in FREE_OF_COST}
            shape = canonical([problem["task"], problem["version"], problem["data"], kept])
            self._shapes[problem_digest, changes] = shape, number(protocol.get("length")) or 0.0
        return self._shapes[problem_digest, changes]


class Pace(msgspec.Struct, frozen=True):
    """How fast an attempt is going."""

    updates: float
    """Updates per second."""
    time_rate: float
    """Units of the protocol's length per second."""

    @classmethod
    def from_events(cls, events: list[dict[str, Any]]) -> Pace | None:
        """Returns the pace from the first to the last of one attempt's newest `events`; None before there are two."""
        timed = [e for e in events if {"update", "time", "seconds"} <= e.keys()]
        if len(timed) < 2 or (seconds := timed[-1]["seconds"] - timed[0]["seconds"]) <= 0:
            return None
        return cls(*((timed[-1][key] - timed[0][key]) / seconds for key in ("update", "time")))


def resolved(problem: Mapping[str, Any], setting: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a run's protocol, as recorded: the problem's with the setting's own changes."""
    return _merged(problem["protocol"], setting.get("protocol", {}))


def _merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        k: _merged(table[k], v) for k, v in changes.items() if isinstance(v, dict) and isinstance(table.get(k), dict)
    }
    return {**table, **changes, **both}


def _seconds(store: Store, record: Record) -> float | None:
    """Returns the seconds that all attempts of a finished run took; None where its record does not say."""
    clock, attempt = record.provenance.get("clock"), record.provenance.get("attempt", 1)
    last = number(clock.get("seconds")) if isinstance(clock, dict) else None
    if last is None or not isinstance(attempt, int):
        return None
    return last + sum(_earlier(store, record.id, attempt))


def _machine(record: Record) -> dict[str, Any]:
    machine = record.provenance.get("machine")
    return machine if isinstance(machine, dict) else {}


def _slots(record: Record) -> int:
    """Returns on how many processes, each with a device, a run was trained."""
    slots = _machine(record).get("processes")
    return slots if isinstance(slots, int) and 0 < slots <= MOST_SLOTS else 1


def _earlier(store: Store, run: str, attempt: int) -> Iterator[float]:
    """Yields the seconds of each attempt before number `attempt`."""
    for earlier in range(1, min(attempt, MOST_ATTEMPTS)):
        yield next((e["seconds"] for e in reversed(store.latest(run, earlier)) if "seconds" in e), 0.0)
