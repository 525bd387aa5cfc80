"""A leaderboard: of a plan, its records and the references of its problems, and of nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.cells import Cells
from optathlon.results.board.judging import aggregated_ranks, judged
from optathlon.results.board.looks import Looked, looked, with_verdicts
from optathlon.results.board.marks import Judged
from optathlon.results.board.model import Leaderboard
from optathlon.results.board.plan_part import PlanPart
from optathlon.results.board.printed_layout import Layout, printed_layout, whole_layout
from optathlon.results.board.reference_rows import reference_rows
from optathlon.results.board.row import BoardRow
from optathlon.results.plan import Column, Plan, Table
from optathlon.results.record import Record
from optathlon.results.references import References
from optathlon.results.store.run_state import State


def leaderboard(
    plan: Plan,
    records: Iterable[Record] | Mapping[str, Record],
    states: Mapping[str, State] | None = None,
    *,
    on: Sequence[str] | Literal["common"] | None = None,
    printed: bool = False,
    part: PlanPart | None = None,
    references: Mapping[str, References] = MappingProxyType({}),
) -> Leaderboard:
    """The board of `plan`. states: those of its runs, which tell what has failed for good. references: by problem.

    Cells with tuning runs show the winner's report seeds, the others their one setting. on: names of the columns that
    aggregates are taken over (default: all), or those in which every row has all its records. printed: laid out as the
    sweep's [table] says, if it has one. part: only these columns and rows are shown; p, intervals and marks are those
    of the whole plan all the same. No mean mixes problems, settings, directions or units: what does not fit into a cell
    is left out of it, and named among its `faults`.
    """
    cells, looks = _cells(plan, records, states or {})
    table = plan.head.table if printed and plan.head.table else None
    layout = printed_layout(plan, table, cells) if table else whole_layout(plan, cells)
    shown_rows = [(label, i) for label, i in layout.rows if part is None or plan.head.rows[i].name in part.rows]
    shown_columns = [i for i, c in enumerate(layout.columns) if part is None or c.name in part.columns]
    base = next((i for i, row in enumerate(plan.head.rows) if row.name == plan.head.baseline), None)
    verdicts = _judged(plan, layout, base, {i for _, i in shown_rows}, looks)
    columns = [layout.columns[i] for i in shown_columns]
    grid = [[verdicts.grid[i][layout.at[at]] for at in shown_columns] for _, i in shown_rows]
    baseline = next((label for label, i in shown_rows if i == base), None)
    if baseline is None:
        grid = [list(map(_without_baseline, row)) for row in grid]
    over = [] if table else _over(columns, grid, on)
    rows = [
        BoardRow(name=label, optimizer=row.optimizer, notes=row.notes, mean_rank=mean_rank, cells=of_row)
        for (label, i), of_row, mean_rank in zip(shown_rows, grid, aggregated_ranks(columns, grid, over), strict=True)
        for row in [plan.head.rows[i]]
    ]
    return Leaderboard(
        name=plan.head.name,
        scale=plan.head.scale,
        baseline=baseline,
        columns=columns,
        rows=rows,
        references=reference_rows(references, _scores_of(plan, table, columns)),
        on=[column.name for column, used in zip(columns, over, strict=False) if used],
        plan_shape=(len(plan.head.rows), len(layout.tested)),
        across=(table and table.across) or "tasks",
        **_said_of_tests(verdicts, looks, baseline),
    )


def _said_of_tests(verdicts: Judged, looks: Looked | None, baseline: str | None) -> dict[str, Any]:
    """What a board says of its tests as a whole. baseline: its label, if it is shown."""
    facts: dict[str, Any] = {"collapsing": verdicts.collapsing}
    if baseline is not None:
        family = len(looks.verdicts) if looks else verdicts.family
        facts |= {"family": family, "baseline_apart": verdicts.baseline_apart}
    return facts | ({"looks": looks.looks, "looks_over": looks.reached} if looks else {})


def _cells(
    plan: Plan, records: Iterable[Record] | Mapping[str, Record], states: Mapping[str, State]
) -> tuple[Cells, Looked | None]:
    """The cells with the seeds that are asked of them by now."""
    cells = Cells(plan, records, [run for run, state in states.items() if state.kind == "failed"])
    looks = looked(plan, cells)
    return (cells.asking(looks.asked) if looks else cells), looks


def _judged(plan: Plan, layout: Layout, base: int | None, shown: Collection[int], looks: Looked | None) -> Judged:
    """The cells of `layout` with what is tested of them, at the looks where the plan has some."""
    if looks is None:
        return judged(layout.tested, layout.grid, base, shown)
    verdicts = judged(layout.tested, layout.grid, base, shown, looks.alpha)
    return msgspec.structs.replace(verdicts, grid=with_verdicts(plan, layout.tested, verdicts.grid, looks))


def _without_baseline(cell: Cell) -> Cell:
    return msgspec.structs.replace(
        cell,
        delta=None,
        delta_lo=None,
        delta_hi=None,
        p=None,
        p_holm=None,
        p_welch=None,
        refused=False,
        decided_at=None,
    )


def _scores_of(plan: Plan, table: Table | None, columns: Sequence[Column]) -> list[tuple[list[str], str]]:
    """The problems and the metric of each column."""
    if table is None:
        return [([column.problem], column.metric) for column in columns]
    problem = {column.name: column.problem for column in plan.head.columns}
    return [([problem[name] for name in printed.of], printed.metric) for printed in table.columns]


def _over(
    columns: Sequence[Column], grid: Sequence[Sequence[Cell]], on: Sequence[str] | Literal["common"] | None
) -> list[bool]:
    """For each column whether aggregates are taken over it."""
    if on is None:
        return [True] * len(columns)
    if on == "common":
        return [bool(grid) and all(row[at].rank is not None for row in grid) for at in range(len(columns))]
    return [column.name in on for column in columns]
