"""Which setting an optimizer is judged by: chosen on validation, with tuning seeds, by a pure function."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from optathlon.results.hyperparameter_text import edges
from optathlon.results.plan import Column, Plan, PlannedRun
from optathlon.results.record import Record, hyperparameters
from optathlon.results.scores import Unusable, by_id, value
from optathlon.results.statistics.summary import mean

Cell = tuple[str, str]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A setting with all its tuning seeds: the mean of the selection score over those that did not diverge."""

    setting: str
    mean: float | None
    n_diverged: int
    updates: int


class Winner(msgspec.Struct, frozen=True, kw_only=True):
    """What is chosen in one cell."""

    setting: str | None
    """None before every setting has its tuning runs, and where none can be chosen."""
    mean: float | None
    complete: bool
    """Every setting has its tuning seeds, or failed."""
    candidates: list[Candidate]
    """Best first."""
    failed: list[str]
    """Settings left out because a tuning run failed for good."""
    unusable: dict[str, str] = {}
    """Settings left out because a tuning run's record cannot be used, with why."""
    planned: int
    """How many settings there are in all."""
    edges: list[str]
    """Hyperparameters of which the winner has the smallest or largest value that was tried."""

    @property
    def left_out(self) -> list[str]:
        """The settings that cannot be chosen."""
        return [*self.failed, *self.unusable]


def winners(
    plan: Plan, records: Iterable[Record] | Mapping[str, Record], failed: Collection[str] = ()
) -> dict[Cell, Winner]:
    """The winner of each cell (row, column) that has tuning runs.

    It is the setting with the best mean of the column's selection score over the tuning seeds. Settings with diverged
    seeds come after all others; on ties fewer updates win, then the order of the plan. failed: ids of runs that failed
    for good, whose settings are out, as are those with a record that cannot be used. Only records of tuning runs are
    looked at.
    """
    found = by_id(records)
    columns = {column.name: column for column in plan.head.columns}
    return {cell: _winner(plan, columns[cell[1]], settings, found, failed) for cell, settings in _tuning(plan).items()}


def free_reports(plan: Plan, records: Iterable[Record], failed: Collection[str] = ()) -> list[PlannedRun]:
    """The report runs that may be carried out: those of each cell's winner once its tuning is complete, and all of
    cells that tune nothing. Those that have a record already are among them."""
    chosen = winners(plan, records, failed)
    return [
        run
        for run in plan.runs
        if run.role == "report"
        and ((cell := (run.row, run.column)) not in chosen or chosen[cell].setting == run.setting)
    ]


def _tuning(plan: Plan) -> dict[Cell, dict[str, list[PlannedRun]]]:
    """Tuning runs by cell and setting, in the plan's order."""
    cells: dict[Cell, dict[str, list[PlannedRun]]] = {}
    for run in plan.runs:
        if run.role == "tune":
            cells.setdefault((run.row, run.column), {}).setdefault(run.setting, []).append(run)
    return cells


def _winner(
    plan: Plan,
    column: Column,
    settings: Mapping[str, list[PlannedRun]],
    records: Mapping[str, Record],
    failed: Collection[str],
) -> Winner:
    out = [s for s, runs in settings.items() if any(r.id in failed and r.id not in records for r in runs)]
    ready = [s for s, runs in settings.items() if all(r.id in records for r in runs)]
    candidates, unusable = [], {}
    for s in ready:
        try:
            candidates.append(_candidate(column, s, [records[r.id] for r in settings[s]]))
        except Unusable as error:
            unusable[s] = str(error)
    sign = -1.0 if column.selection_higher_is_better else 1.0
    candidates.sort(key=lambda c: (c.n_diverged, c.mean is None, sign * (c.mean or 0.0), c.updates))
    complete = len(out) + len(ready) == len(settings)
    best = candidates[0] if complete and candidates else None
    tried = {s: hyperparameters(plan.head.settings[s]) for s in settings}
    return Winner(
        setting=best.setting if best else None,
        mean=best.mean if best else None,
        complete=complete,
        candidates=candidates,
        failed=out,
        unusable=unusable,
        planned=len(settings),
        edges=edges(tried[best.setting], tried.values()) if best else [],
    )


def _candidate(column: Column, setting: str, records: list[Record]) -> Candidate:
    """Unusable, naming the record, if one is not of the planned problem and setting, or has no selection score."""
    higher = bool(column.selection_higher_is_better)
    if column.selection is None:
        raise Unusable(records[0], f"tuned, but {column.name} has no score to select by")
    for record in records:
        if record.digests.setting != setting or record.digests.problem != column.problem:
            raise Unusable(record, f"its problem or setting is not the planned one of {column.name}")
    values = [value(record, column.selection, higher) for record in records]
    finite = [v for v in values if v is not None]
    return Candidate(
        setting=setting,
        mean=mean(finite),
        n_diverged=len(values) - len(finite),
        updates=sum(record.updates for record in records),
    )
