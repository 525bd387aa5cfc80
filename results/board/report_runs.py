"""Which report runs of a plan may be carried out now: a pure function of the plan, its records and what failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from optathlon.results.board.cells import Cells
from optathlon.results.board.looks import looked
from optathlon.results.plan import Plan, PlannedRun
from optathlon.results.record import Record


class ReportRuns(msgspec.Struct, frozen=True, kw_only=True):
    """The report runs of a plan that are called for."""

    free: list[PlannedRun]
    """Those that may be carried out now, or have a record already: of each winner that is known, and all of cells that
    tune nothing; in a plan with looks, the seeds that are asked for by now."""
    unchosen: dict[tuple[str, str], int]
    """By cell (row, column), of how many seeds that are asked for no setting is chosen yet."""
    later: list[PlannedRun]
    """One run per cell and seed that a later look may ask for, whichever setting it will be of."""


def report_runs(
    plan: Plan, records: Iterable[Record] | Mapping[str, Record], failed: Collection[str] = ()
) -> ReportRuns:
    """Returns the report runs that `records` call for.

    records: of the tuning runs at least, in a plan with looks of all runs. failed: ids of runs that failed for good.
    """
    cells = Cells(plan, records, failed)
    looks = looked(plan, cells)
    asking = cells.asking(looks.asked) if looks else cells
    free: list[PlannedRun] = []
    later: list[PlannedRun] = []
    unchosen: dict[tuple[str, str], int] = {}
    for column in plan.head.columns:
        for row in plan.head.rows:
            runs = asking.planned(row.name, column.name)
            free += runs
            missing = len(asking.seeds(row.name, column.name)) - len({run.seed for run in runs})
            if missing:
                unchosen[row.name, column.name] = missing
            if looks and (count := looks.later(row.name, column.name)):
                later += _one_a_seed(cells, row.name, column.name)[-count:]
    order = {run.id: i for i, run in enumerate(plan.runs) if run.role == "report"}
    return ReportRuns(free=sorted(free, key=lambda run: order[run.id]), unchosen=unchosen, later=later)


def free_reports(plan: Plan, records: Iterable[Record], failed: Collection[str] = ()) -> list[PlannedRun]:
    """Returns the report runs that may be carried out now, in the plan's order; see `ReportRuns.free`."""
    return report_runs(plan, records, failed).free


def _one_a_seed(cells: Cells, row: str, column: str) -> list[PlannedRun]:
    """One report run per seed of a cell: its winner's where that is known."""
    chosen = {run.seed: run for run in cells.planned(row, column)}
    anyhow: dict[int, PlannedRun] = {}
    for run in cells.reports(row, column):
        anyhow.setdefault(run.seed, run)
    return [chosen.get(seed, run) for seed, run in anyhow.items()]
