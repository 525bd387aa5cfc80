"""Whether every row of a sweep had the same: settings tried, seeds, length of training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

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
