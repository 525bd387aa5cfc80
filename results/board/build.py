"""A leaderboard: of a plan, its records and the references of its problems, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from optathlon.results.board.cell import Cell
from optathlon.results.board.cells import Cells
from optathlon.results.board.judging import aggregated_ranks, judged
from optathlon.results.board.model import Leaderboard
from optathlon.results.board.reference_rows import reference_rows
from optathlon.results.board.row import BoardRow
from optathlon.results.plan import Column, Plan
from optathlon.results.record import Record
from optathlon.results.references import References
from optathlon.results.store.run_state import State

if TYPE_CHECKING:
    pass


def leaderboard(
    plan: Plan,
    records: Iterable[Record],
    states: Mapping[str, State] | None = None,
    *,
    on: Sequence[str] | Literal["common"] | None = None,
    printed: bool = False,
    references: Mapping[str, References] = MappingProxyType({}),
) -> Leaderboard:
    """The board of `plan`. states: those of its runs, which tell what has failed for good. references: by problem.

    Cells with tuning runs show the winner's report seeds, the others their one setting. on: names of the columns that
    aggregates are taken over (default: all), or those in which every row has all its records. printed: laid out as the
    sweep's [table] says, if it has one. No mean mixes problems, settings, directions or units: what does not fit into
    a cell is left out of it, and named among its `faults`.
    """
    cells = Cells(plan, records, states)
    columns = plan.head.columns
    problems: list[list[str]] = [[column.problem] for column in columns]
    if printed and plan.head.table:
        from optathlon.results.board.printed_layout import lay_out

        columns, named, grid = lay_out(plan.head.table, plan.head.rows, cells)
        problems = [[cells.columns[name].problem for name in column.of] for column in plan.head.table.columns]
    else:
        named = [(row.name, row) for row in plan.head.rows]
        grid = [[cells.cell(row.name, column) for column in columns] for row in plan.head.rows]
    baseline = next((i for i, (_, row) in enumerate(named) if row.name == plan.head.baseline), None)
    grid = judged(columns, grid, baseline)
    over = [] if printed and plan.head.table else _over(columns, grid, on)
    mean_ranks = aggregated_ranks(columns, grid, over)
    rows = [
        BoardRow(name=name, optimizer=row.optimizer, notes=row.notes, mean_rank=mean_rank, cells=of_row)
        for (name, row), of_row, mean_rank in zip(named, grid, mean_ranks, strict=True)
    ]
    return Leaderboard(
        name=plan.head.name,
        scale=plan.head.scale,
        baseline=named[baseline][0] if baseline is not None else None,
        columns=columns,
        rows=rows,
        references=reference_rows(references, [(of, c.metric) for of, c in zip(problems, columns, strict=True)]),
        on=[column.name for column, used in zip(columns, over, strict=False) if used],
        family=sum(cell.p is not None for row in rows for cell in row.cells),
    )


def _over(
    columns: Sequence[Column], grid: Sequence[Sequence[Cell]], on: Sequence[str] | Literal["common"] | None
) -> list[bool]:
    """For each column whether aggregates are taken over it."""
    if on is None:
        return [True] * len(columns)
    if on == "common":
        return [bool(grid) and all(row[at].rank is not None for row in grid) for at in range(len(columns))]
    return [column.name in on for column in columns]
