"""The numbers that reproducibility checklists ask for, from plans and records alone.

NeurIPS paper checklist: experimental setting (6), error bars (7), compute resources (8). Responsible NLP checklist of
ACL: size and budget (C1), setup and search (C2), descriptive statistics (C3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from optathlon.results.audit.evidence import Evidence
from optathlon.results.audit.finding import Finding
from optathlon.results.hyperparameter_text import short
from optathlon.results.plan import Plan, PlannedRun
from optathlon.results.record import Record, hyperparameters
from optathlon.results.scores import number

_NEEDED = {
    "the time it took": ("clock", "seconds"),
    "its device": ("machine", "device"),
    "its libraries": ("versions", "torch"),
    "its code": ("code", "tree"),
}


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to a checklist."""

    asked: str
    """By which items: "NeurIPS 8, ACL C1"."""
    name: str
    answer: str


def unanswered(evidence: Evidence, sweep: str) -> Iterator[Finding]:
    """Findings on what checklists ask for and `sweep` cannot answer: a deviation, times, devices, versions."""
    plan = evidence.shown(sweep)
    seeds: dict[tuple[str, str, str], set[int]] = {}
    for run in plan.runs:
        if run.role == "report":
            seeds.setdefault((run.row, run.column, run.setting), set()).add(run.seed)
    single = {(row, column) for (row, column, _), of_cell in seeds.items() if len(of_cell) == 1}
    if single:
        what = f"{len(single)} cells are planned with one report seed: no deviation, no test"
        yield Finding(fault="one seed", sweep=sweep, where="the whole sweep", what=what)
    records = _records(evidence, plan)
    for what, path in _NEEDED.items():
        if lacking := [record.id for record in records if _at(record.provenance, *path) is None]:
            told = f"{len(lacking)} of {len(records)} records do not say {what}, {lacking[0]} among them"
            yield Finding(fault="no provenance", sweep=sweep, where="the whole sweep", what=told)


def checklist(evidence: Evidence, sweep: str) -> list[Item]:
    """The answers for `sweep`; "not recorded" where records do not hold one."""
    plan = evidence.shown(sweep)
    records = _records(evidence, plan)
    tuned = {run.id for run in plan.runs if run.role == "tune"}
    tuning = [record for record in records if record.id in tuned]
    return [
        Item(asked="NeurIPS 5, 6", name="data", answer=_data(plan)),
        Item(asked="NeurIPS 6, ACL C2", name="selection", answer=_selection(plan)),
        *(
            Item(asked="NeurIPS 6, ACL C2", name=f"settings of {row.name}", answer=_search(plan, row.name))
            for row in plan.head.rows
        ),
        Item(asked="NeurIPS 7, ACL C3", name="error bars", answer=_deviations(evidence, plan)),
        Item(asked="NeurIPS 8, ACL C1", name="compute", answer=_hours(records, tuning)),
        Item(asked="NeurIPS 8", name="seconds a run", answer=_seconds_by_task(plan, records)),
        Item(asked="NeurIPS 8, ACL C1", name="devices", answer=_distinct(records, "machine", "device")),
        Item(asked="NeurIPS 8", name="memory", answer=_memory(records)),
        Item(asked="ACL C1", name="energy", answer=_energy(records)),
        Item(asked="NeurIPS 4, ACL C4", name="libraries", answer=_versions(records)),
        Item(asked="NeurIPS 5", name="code", answer=_distinct(records, "code", "commit", "tree")),
    ]


def _records(evidence: Evidence, plan: Plan) -> list[Record]:
    ids = dict.fromkeys(run.id for run in plan.runs)
    return [evidence.records[run] for run in ids if run in evidence.records]


def _at(values: Any, *path: str) -> Any:
    """What lies at `path` in a provenance, which may hold anything; None if nothing does."""
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _data(plan: Plan) -> str:
    editions = {f"{data} {e}": None for problem in plan.head.problems.values() for data, e in problem["data"].items()}
    return ", ".join(editions) or "none"


def _selection(plan: Plan) -> str:
    if not any(run.role == "tune" for run in plan.runs):
        return "none: every setting is a row, all are shown"
    scores = dict.fromkeys(column.selection for column in plan.head.columns if column.selection)
    if isinstance(plan.head.tuning, list):
        seeds = _range([len(group.tune) for group in plan.head.tuning])
        return f"each report seed its own: best mean of {', '.join(scores)} over its {seeds} tuning seeds"
    seeds = _count(run for run in plan.runs if run.role == "tune")
    return f"best mean of {', '.join(scores)} over {seeds} tuning seeds"


def _count(runs: Iterable[PlannedRun]) -> str:
    """How many seeds a setting has among `runs`: "3", "1 to 3"."""
    seeds: dict[tuple[str, str, str], set[int]] = {}
    for run in runs:
        seeds.setdefault((run.row, run.column, run.setting), set()).add(run.seed)
    return _range([len(of_setting) for of_setting in seeds.values()])


def _range(values: Sequence[float]) -> str:
    if not values:
        return "0"
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _search(plan: Plan, row: str) -> str:
    """How many settings of `row` were tried on a task, and what its hyperparameters ranged over."""
    by_task: dict[str, set[str]] = {}
    for run in plan.runs:
        if run.row == row:
            by_task.setdefault(run.column, set()).add(run.setting)
    tried: dict[str, set[Any]] = {}
    for setting in set().union(*by_task.values()):
        for key, value in hyperparameters(plan.head.settings[setting]).items():
            tried.setdefault(key, set()).add(str(value) if isinstance(value, list) else value)
    ranges = [f"{key} {_values(values)}" for key, values in tried.items() if len(values) > 1]
    counts = _range([len(settings) for settings in by_task.values()])
    return f"{counts} of a task" + (f"; in all: {', '.join(ranges)}" if ranges else "")


def _values(values: Iterable[Any]) -> str:
    """The values tried, all of few, the ends of many."""
    numbers = sorted(value for value in values if isinstance(value, int | float))
    words = [short(value) for value in numbers] or sorted(map(str, values))
    return " ".join(words) if len(words) <= 5 else f"{words[0]} to {words[-1]} ({len(words)} values)"


def _deviations(evidence: Evidence, plan: Plan) -> str:
    planned = [run for run in plan.runs if run.role == "report"]
    # Of a plan with looks, only the seeds that were asked for by now.
    asked = evidence.reported(plan) if isinstance(plan.head.looks, list) else []
    seeds = _count(asked or planned)
    return f"sample deviation (ddof = 1) over {seeds} report seeds, 95 % t intervals"


def _hours(records: Sequence[Record], tuning: Sequence[Record]) -> str:
    total, of_tuning = (math.fsum(_slot_seconds(record) for record in some) / 3600 for some in (records, tuning))
    part = f", {of_tuning:.3g} of them tuning" if tuning else ""
    return f"{total:.3g} hours of one device for {len(records)} runs{part}"


def _slot_seconds(record: Record) -> float:
    processes = number(_at(record.provenance, "machine", "processes")) or 1.0
    return processes * (number(_at(record.provenance, "clock", "seconds")) or 0.0)


def _seconds_by_task(plan: Plan, records: Sequence[Record]) -> str:
    labels = {column.problem: column.label for column in plan.head.columns}
    times: dict[str, list[float]] = {}
    for record in records:
        seconds = number(_at(record.provenance, "clock", "seconds"))
        if seconds is not None and record.digests.problem in labels:
            times.setdefault(labels[record.digests.problem], []).append(round(seconds, 1))
    return "; ".join(f"{label} {_range(values)}" for label, values in times.items()) or "not recorded"


def _distinct(records: Iterable[Record], part: str, *keys: str) -> str:
    """The values of the first of `keys` that a record has."""
    values: dict[str, None] = {}
    for record in records:
        known = (_at(record.provenance, part, key) for key in keys)
        if (value := next(filter(None, known), None)) is not None:
            values[str(value)] = None
    return ", ".join(values) or "not recorded"


def _memory(records: Iterable[Record]) -> str:
    gpu, host = [], []
    for record in records:
        gpu.append(number(_at(record.provenance, "cost", "peak_gpu_memory_mb")) or 0.0)
        host.append(number(_at(record.provenance, "machine", "peak_rss_mb")) or 0.0)
    words = [f"{max(values):.0f} MiB {what} at most" for values, what in ((gpu, "of a GPU"), (host, "of a process"))
             if max(values, default=0.0)]  # fmt: skip
    return ", ".join(words) or "not recorded"


def _energy(records: Iterable[Record]) -> str:
    joules: dict[str, float] = {}
    for record in records:
        energy = _at(record.provenance, "cost", "energy_joules")
        for part, value in energy.items() if isinstance(energy, Mapping) else ():
            joules[str(part)] = joules.get(str(part), 0.0) + (number(value) or 0.0)
    return ", ".join(f"{value / 3.6e6:.3g} kWh of {part}" for part, value in joules.items()) or "not recorded"


def _versions(records: Iterable[Record]) -> str:
    values: dict[str, None] = {}
    for record in records:
        versions = _at(record.provenance, "versions")
        if isinstance(versions, Mapping):
            values[", ".join(f"{name} {v}" for name, v in versions.items() if v)] = None
    return "; ".join(values) or "not recorded"
