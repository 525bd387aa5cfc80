"""The cells of a plan: means, deviations and counts of the records of one row in one column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.selection import Winner, winners
from optathlon.results.plan import Column, Plan, PlannedRun
from optathlon.results.record import Record, hyperparameters
from optathlon.results.scores import Unusable, by_id, value
from optathlon.results.statistics.summary import deviation, mean
from optathlon.results.store.run_state import State


class Cells:
    """The cells of a plan, none of which depends on another."""

    def __init__(
        self, plan: Plan, records: Iterable[Record] | Mapping[str, Record], states: Mapping[str, State] | None = None
    ) -> None:
        self.plan = plan
        self.columns = {column.name: column for column in plan.head.columns}
        self.records = by_id(records)
        self.failed = {i for i, state in (states or {}).items() if state.kind == "failed"}
        self.winners = winners(plan, self.records, self.failed)
        self._reports: dict[tuple[str, str], list[PlannedRun]] = {}
        for run in plan.runs:
            if run.role == "report":
                self._reports.setdefault((run.row, run.column), []).append(run)

    def planned(self, row: str, column: str) -> list[PlannedRun]:
        """The report runs of a cell: of its winner where settings are tuned, which has none before it is known."""
        winner, runs = self.winners.get((row, column)), self._reports.get((row, column), [])
        return [run for run in runs if run.setting == winner.setting] if winner else runs

    def cell(self, row: str, column: Column, of: str | None = None) -> Cell:
        """The cell of `row` with the metric of `column`, and the runs of the plan's column `of` (default: the same)."""
        name = of or column.name
        winner = self.winners.get((row, name))
        if winner and winner.setting is None:
            seeds = len({run.seed for run in self._reports.get((row, name), [])})
            return Cell(status="missing", n_planned=seeds, settings_tried=winner.planned, notes=_tuning_notes(winner))
        planned = self.planned(row, name)
        if not planned:
            return Cell(status="missing", notes=_tuning_notes(winner) if winner else [])
        if fault := _planning_fault(self.columns[name], planned):
            return Cell(status="missing", n_planned=len(planned), notes=[fault], faults=[fault])
        values, faults = self._usable(column, planned)
        records = [self.records[run] for run in values]
        n_failed = sum(run.id in self.failed and run.id not in self.records for run in planned)
        setting = planned[0].setting
        counted = sampled(list(values.values()), [record.seed for record in records], len(planned), n_failed)
        return msgspec.structs.replace(
            counted,
            setting=setting,
            hyperparameters=hyperparameters(self.plan.head.settings[setting]),
            settings_tried=winner.planned if winner else 1,
            edges=winner.edges if winner else [],
            runs=[record.id for record in records],
            notes=[*counted.notes, *faults, *_code_notes(records), *(_tuning_notes(winner) if winner else [])],
            faults=faults,
        )

    def _usable(self, column: Column, planned: Sequence[PlannedRun]) -> tuple[dict[str, float | None], list[str]]:
        """By run the scores of the records of `planned` in the metric of `column`, and why others cannot be used."""
        values: dict[str, float | None] = {}
        whys: dict[str, list[str]] = {}
        for run in planned:
            if record := self.records.get(run.id):
                try:
                    values[run.id] = _planned_value(record, run, column)
                except Unusable as error:
                    whys.setdefault(error.why, []).append(run.id)
        return values, [_fault(why, runs, len(planned)) for why, runs in whys.items()]


def sampled(values: Sequence[float | None], seeds: Sequence[int], planned: int, failed: int) -> Cell:
    """A cell of `values`, one a seed, None where it diverged, of so many planned ones."""
    finite = [v for v in values if v is not None]
    counts = (planned, len(finite), len(values) - len(finite))
    return Cell(
        status=_status(*counts),
        mean=mean(finite),
        std=deviation(finite),
        n=len(finite),
        n_planned=planned,
        n_diverged=counts[2],
        n_failed=failed,
        min=min(finite, default=None),
        max=max(finite, default=None),
        seeds=list(seeds),
        values=list(values),
        notes=_count_notes(*counts, failed),
    )


def _planning_fault(column: Column, planned: Sequence[PlannedRun]) -> str | None:
    """Why no mean can be taken over these runs; None if they are of the column's problem, one setting, one a seed."""
    setting = planned[0].setting
    if strangers := [run.id for run in planned if (run.problem, run.setting) != (column.problem, setting)]:
        return f"runs {', '.join(strangers)} of another problem or setting than the rest: no mean can be taken"
    first: dict[int, str] = {}
    for run in planned:
        if first.setdefault(run.seed, run.id) != run.id:
            return f"runs {first[run.seed]} and {run.id} are both of seed {run.seed}: no mean can be taken"
    return None


def _planned_value(record: Record, run: PlannedRun, column: Column) -> float | None:
    """The score of `record` in `column`; Unusable if it is not the record of `run`, or has no such score."""
    if (record.digests.problem, record.digests.setting, record.seed) != (run.problem, run.setting, run.seed):
        raise Unusable(record, "another problem, setting or seed than was planned")
    return value(record, column.metric, column.higher_is_better, column.unit)


def _fault(why: str, runs: Sequence[str], planned: int) -> str:
    records = f"record {runs[0]}" if len(runs) == 1 else f"records {', '.join(runs)}"
    return f"{len(runs)} of {planned} seeds left out: {why}; {records}, see `optathlon forget`"


def _status(planned: int, n: int, diverged: int) -> Literal["complete", "incomplete", "missing", "diverged"]:
    if n + diverged < planned:
        return "incomplete" if n + diverged else "missing"
    return "complete" if n else "diverged"


def _count_notes(planned: int, n: int, diverged: int, failed: int) -> list[str]:
    notes = []
    if n + diverged < planned:
        notes.append(f"{n + diverged} of {planned} seeds done; not ranked")
    if diverged:
        ranked = "" if n + diverged < planned else "; ranked after the others" if n else "; ranked last"
        notes.append(f"{diverged} of {planned} seeds diverged{ranked}")
    if failed:
        notes.append(f"{failed} of {planned} seeds failed")
    return notes


def _code_notes(records: Sequence[Record]) -> list[str]:
    trees = set(map(_tree, records))
    return [f"runs of {len(trees)} versions of the code"] if len(trees) > 1 else []


def _tree(record: Record) -> str | None:
    """The digest of the code that made `record`; a provenance may hold anything."""
    code = record.provenance.get("code")
    tree = code.get("tree") if isinstance(code, Mapping) else None
    return tree if isinstance(tree, str) else None


def _tuning_notes(winner: Winner) -> list[str]:
    notes = []
    if not winner.complete:
        done = len(winner.candidates) + len(winner.left_out)
        notes.append(f"{done} of {winner.planned} settings tuned")
    if winner.failed:
        notes.append(f"{len(winner.failed)} of {winner.planned} settings left out: a tuning run failed")
    if winner.unusable:
        why = next(iter(winner.unusable.values()))
        notes.append(f"{len(winner.unusable)} of {winner.planned} settings left out: {why}")
    if winner.edges:
        notes.append(f"chosen on the edge of what was tried: {', '.join(winner.edges)}")
    return notes
