"""Whether every row of a sweep had the same: settings tried, seeds, length of training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from optathlon.results.audit.evidence import Evidence
from optathlon.results.audit.finding import Finding
from optathlon.results.plan import Column, Plan, PlannedRun

_TOGETHER = 3


def unequal_budgets(evidence: Evidence, sweep: str) -> Iterator[Finding]:
    """Findings per task: rows that tried more settings, used more seeds, or trained for longer than others."""
    plan = evidence.shown(sweep)
    for column in plan.head.columns:
        runs = [run for run in plan.runs if run.column == column.name]
        tuning = [run for run in runs if run.role == "tune"]
        counts = {
            "unequal settings": ({row: len({r.setting for r in of_row}) for row, of_row in _rows(tuning)}, "settings"),
            "unequal tuning seeds": ({row: _seeds(of_row) for row, of_row in _rows(tuning)}, "tuning seeds"),
            "unequal report seeds": (
                {row: _seeds(of_row) for row, of_row in _rows(r for r in runs if r.role == "report")},
                "report seeds",
            ),
            "unequal length": (_lengths(plan, column, runs), _unit(plan, column)),
        }
        for fault, (by_row, unit) in counts.items():
            if len(set(by_row.values())) > 1:
                yield Finding(fault=fault, sweep=sweep, where=column.label, what=_in_words(by_row, unit))
        if unlike := _unlike_seeds(runs):
            yield Finding(fault="unlike seeds", sweep=sweep, where=column.label, what=unlike)
        for what in _unlike_updates(evidence, plan, runs):
            yield Finding(fault="unequal length", sweep=sweep, where=column.label, what=what)


def _unlike_seeds(runs: Sequence[PlannedRun]) -> str:
    """Which rows have as many report seeds as others, and not the same; empty if all have the same."""
    by_row = {row: {r.seed for r in of_row} for row, of_row in _rows(r for r in runs if r.role == "report")}
    groups: dict[tuple[int, ...], list[str]] = {}
    for row, seeds in by_row.items():
        groups.setdefault(tuple(sorted(seeds)), []).append(row)
    if len(groups) < 2 or len({len(seeds) for seeds in groups}) > 1:
        return ""
    return "; ".join(f"{_listed(rows)} seeds {_listed(list(map(str, seeds)))}" for seeds, rows in groups.items())


def _unlike_updates(evidence: Evidence, plan: Plan, runs: Iterable[PlannedRun]) -> Iterator[str]:
    """Records that hold fewer or more updates than most that were trained by their protocol."""
    by_protocol: dict[str, dict[str, int]] = {}
    for run in {run.id: run for run in runs}.values():
        record = evidence.records.get(run.id)
        if record and record.status == "finished":
            own = plan.head.settings[run.setting].get("protocol", {})
            by_protocol.setdefault(str(sorted(own.items())), {})[run.id] = record.updates
    for updates in by_protocol.values():
        usual = Counter(updates.values()).most_common(1)[0][0]
        if unlike := {run: count for run, count in updates.items() if count != usual}:
            run, count = next(iter(unlike.items()))
            yield f"{len(unlike)} records do not hold the {usual} updates of the others, {run} ({count}) among them"


def _rows(runs: Iterable[PlannedRun]) -> Iterable[tuple[str, list[PlannedRun]]]:
    of_row: dict[str, list[PlannedRun]] = {}
    for run in runs:
        of_row.setdefault(run.row, []).append(run)
    return of_row.items()


def _seeds(runs: Iterable[PlannedRun]) -> int:
    return len({run.seed for run in runs})


def _lengths(plan: Plan, column: Column, runs: Iterable[PlannedRun]) -> dict[str, float]:
    """The longest training that each row may have, in the protocol's unit."""
    usual = plan.head.problems[column.problem]["protocol"].get("length", 0)
    longest: dict[str, float] = {}
    for run in runs:
        length = plan.head.settings[run.setting].get("protocol", {}).get("length", usual)
        longest[run.row] = max(length, longest.get(run.row, length))
    return longest


def _unit(plan: Plan, column: Column) -> str:
    return str(plan.head.problems[column.problem]["protocol"].get("unit", "epochs"))


def _in_words(by_row: Mapping[str, float], unit: str) -> str:
    """Rows by how much they had, most first: "adamp 12 settings; sgd, adam 3"."""
    groups: dict[float, list[str]] = {}
    for row, amount in by_row.items():
        groups.setdefault(amount, []).append(row)
    parts = [f"{_listed(rows)} {amount:g}" for amount, rows in sorted(groups.items(), reverse=True)]
    return f"{parts[0]} {unit}; {'; '.join(parts[1:])}"


def _listed(rows: list[str]) -> str:
    more = len(rows) - _TOGETHER
    return ", ".join(rows[:_TOGETHER]) + (f" and {more} more" if more > 0 else "")
