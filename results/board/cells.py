"""The cells of a plan: means, deviations and counts of the records of one row in one column."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.selection import Winner, winners
from optathlon.results.plan import Column, Plan, PlannedRun
from optathlon.results.record import Record, hyperparameters, tuned_values
from optathlon.results.scores import Unusable, by_id, value
from optathlon.results.statistics.summary import deviation, mean
from optathlon.results.statistics.tuning.choice_variance import deviation_of_choice, deviation_of_winners


class Cells:
    """The cells of a plan, none of which depends on another."""

    def __init__(
        self, plan: Plan, records: Iterable[Record] | Mapping[str, Record], failed: Collection[str] = ()
    ) -> None:
        """failed: ids of runs that failed for good."""
        self.plan = plan
        self.columns = {column.name: column for column in plan.head.columns}
        self.records = by_id(records)
        self.failed = frozenset(failed)
        self.winners = winners(plan, self.records, self.failed)
        self.asked: Mapping[tuple[str, str], int] = {}
        """How many report seeds are asked of a cell, the first of them; of cells that are not here, all."""
        self._reports: dict[tuple[str, str], list[PlannedRun]] = {}
        for run in plan.runs:
            if run.role == "report":
                self._reports.setdefault((run.row, run.column), []).append(run)
        self._seeds = {cell: list(dict.fromkeys([run.seed for run in runs])) for cell, runs in self._reports.items()}

    def asking(self, asked: Mapping[tuple[str, str], int]) -> Cells:
        """Returns the same cells with only the first so many report seeds of each."""
        cells = copy.copy(self)
        cells.asked = asked
        return cells

    def reports(self, row: str, column: str) -> list[PlannedRun]:
        """Returns every report run of a cell, of all settings and seeds."""
        return self._reports.get((row, column), [])

    def seeds(self, row: str, column: str) -> list[int]:
        """Returns the report seeds that are asked of a cell, in the plan's order."""
        return self._seeds.get((row, column), [])[: self.asked.get((row, column))]

    def planned(self, row: str, column: str) -> list[PlannedRun]:
        """Returns the report runs of a cell: where settings are tuned, those of the winners that are known."""
        winner, asked = self.winners.get((row, column)), frozenset(self.seeds(row, column))
        runs = [run for run in self.reports(row, column) if run.seed in asked]
        if winner is None:
            return runs
        chosen = {seed: winner.setting_for(seed) for seed in asked}
        return [run for run in runs if run.setting == chosen[run.seed]]

    def over(self, row: str, column: str) -> bool:
        """Whether nothing more is to come of a cell: each seed asked has its outcome, failed, or has no setting."""
        winner, planned = self.winners.get((row, column)), self.planned(row, column)
        if winner and not winner.complete:
            return False
        return all(run.id in self.records or run.id in self.failed for run in planned)

    def cell(self, row: str, column: Column, of: str | None = None) -> Cell:
        """The cell of `row` with the metric of `column`, and the runs of the plan's column `of` (default: the same)."""
        name = of or column.name
        winner, planned = self.winners.get((row, name)), self.planned(row, name)
        if not planned:
            asked = len(self.seeds(row, name))
            tried, notes = (winner.planned, _tuning_notes(winner)) if winner else (0, [])
            return Cell(status="missing", n_planned=asked, settings_tried=tried, notes=notes)
        if fault := _planning_fault(self.columns[name], planned, one_setting=not (winner and winner.by_seed)):
            return Cell(status="missing", n_planned=len(planned), notes=[fault], faults=[fault])
        values, faults = self._usable(column, planned)
        records = [self.records[run] for run in values]
        n_failed = sum(run.id in self.failed and run.id not in self.records for run in planned)
        asked = len(self.seeds(row, name))
        counted = sampled(list(values.values()), [record.seed for record in records], asked, n_failed)
        tuning = [*_tuning_notes(winner), *_choice_notes(winner)] if winner else []
        return msgspec.structs.replace(
            counted,
            **_settings_of(self.plan, planned, winner),
            tuning_std=self._tuning_std(column, name, winner, records, list(values.values())) if winner else None,
            runs=[record.id for record in records],
            notes=[*counted.notes, *faults, *_code_notes(records), *tuning],
            faults=faults,
        )

    def _tuning_std(
        self, column: Column, name: str, winner: Winner, records: Sequence[Record], values: Sequence[float | None]
    ) -> float | None:
        """The tuning's part of what varies; None where the runs cannot tell it, or the metric is not the task's own."""
        if column.metric != self.columns[name].metric or not winner.complete:
            return None
        if winner.by_seed:
            by_setting: dict[str, list[float]] = {}
            for record, score in zip(records, values, strict=True):
                if score is not None:
                    by_setting.setdefault(record.digests.setting, []).append(score)
            return deviation_of_winners(by_setting)
        if max((len(candidate.scores) for candidate in winner.candidates), default=0) < 2:
            return None  # which one seed cannot tell, and copying the scores would take half of a cell's time
        sign = 1.0 if self.columns[name].selection_higher_is_better else -1.0
        whole = [[sign * v for v in c.scores if v is not None] for c in winner.candidates if not c.n_diverged]
        return deviation_of_choice(whole)

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


def _settings_of(plan: Plan, planned: Sequence[PlannedRun], winner: Winner | None) -> dict[str, Any]:
    """What a cell says of its settings: the one it has, or what the winners of its seeds have in common."""
    settings = list(dict.fromkeys(run.setting for run in planned))
    values_of = tuned_values if winner else hyperparameters
    first, *others = [values_of(plan.head.settings[setting]) for setting in settings]
    common = {key: value for key, value in first.items() if all(key in o and o[key] == value for o in others)}
    return {
        "setting": settings[0] if len(settings) == 1 else None,
        "hyperparameters": common,
        "settings_tried": winner.planned if winner else 1,
        "edges": winner.edges if winner else [],
        "chosen": winner.chosen if winner else {},
    }


def _planning_fault(column: Column, planned: Sequence[PlannedRun], *, one_setting: bool) -> str | None:
    """Why no mean can be taken over these runs; None if they are of the column's problem, one a seed.

    one_setting: whether they must share their setting, too.
    """
    setting = planned[0].setting
    alike = ((run.problem == column.problem and (run.setting == setting or not one_setting)) for run in planned)
    if strangers := [run.id for run, fits in zip(planned, alike, strict=True) if not fits]:
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


def _choice_notes(winner: Winner) -> list[str]:
    """How many settings the report seeds chose, where each has its own tuning."""
    if not (chosen := winner.chosen):
        return []
    seeds = sum(chosen.values())
    settings = f"{len(chosen)} setting{'s' * (len(chosen) != 1)}"
    return [f"each seed has its own winner: {settings} for {seeds} seed{'s' * (seeds != 1)}"]


def _tuning_notes(winner: Winner) -> list[str]:
    notes = []
    if not winner.complete:
        done = len(winner.candidates) + len(winner.left_out)
        notes.append(f"{done} of {winner.planned} settings tuned")
    out = "left out"
    if winner.by_seed and winner.left_out:
        choosing = winner.by_seed.values()
        out += f" of the choice of {sum(bool(w.left_out) for w in choosing)} of {len(choosing)} seeds"
    if winner.failed:
        notes.append(f"{len(winner.failed)} of {winner.planned} settings {out}: a tuning run failed")
    if winner.unusable:
        why = next(iter(winner.unusable.values()))
        notes.append(f"{len(winner.unusable)} of {winner.planned} settings {out}: {why}")
    if winner.edges:
        notes.append(f"chosen on the edge of what was tried: {', '.join(winner.edges)}")
    return notes
