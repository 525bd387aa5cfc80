"""What may be said of a board's cells: difference to the baseline, rank, best, and what is proven of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.marks import Grid, Judged, marked
from optathlon.results.plan import Column
from optathlon.results.statistics.holm import ALPHA
from optathlon.results.statistics.summary import mean, ranks

__all__ = ["ALPHA", "aggregated_ranks", "judged", "ranks_among_whole"]


def judged(
    columns: Sequence[Column],
    grid: Sequence[Sequence[Cell]],
    baseline: int | None,
    shown: Collection[int] | None = None,
    tie_alpha: float = ALPHA,
) -> Judged:
    """Returns `grid`, rows of cells in the columns' order, with ranks, tests and marks.

    p, intervals and marks are of the whole grid: they may change when a row or a column is added; mean, deviation and
    delta never do. shown: the rows among which the ranks and the best are; by default all.
    tie_alpha: the level at which a row is worse than the best of its column.
    """
    rows = range(len(grid)) if shown is None else sorted(shown)
    ranked = [list(row) for row in grid]
    for number, column in enumerate(columns):
        _rank(column, ranked, number, rows)
        if baseline is not None:
            _subtract(ranked, number, baseline)
    return marked(columns, ranked, baseline, rows, tie_alpha)


def _rank(column: Column, grid: Grid, number: int, rows: Sequence[int]) -> None:
    """Diverged seeds come after all others; the best have no such seed."""
    rank_of = _ranks(column, [grid[i][number] for i in rows])
    first = min(rank_of.values(), default=None)
    for position, rank in rank_of.items():
        cell = grid[rows[position]][number]
        best = rank == first and not cell.n_diverged
        grid[rows[position]][number] = msgspec.structs.replace(cell, rank=rank, best=best, tied=best)


def _ranks(column: Column, cells: Sequence[Cell]) -> dict[int, float]:
    """The rank of each cell with all its records, by index: diverged seeds come after all others."""
    done = [i for i, cell in enumerate(cells) if cell.status in ("complete", "diverged")]
    return dict(zip(done, ranks([_key(column, cells[i]) for i in done]), strict=True))


def _key(column: Column, cell: Cell) -> tuple[bool, float, float]:
    sign = -1.0 if column.higher_is_better else 1.0
    return cell.status == "diverged", cell.n_diverged / cell.n_planned, sign * (cell.mean or 0.0)


def _subtract(grid: Grid, number: int, baseline: int) -> None:
    base = grid[baseline][number]
    for i, row in enumerate(grid):
        if i != baseline and row[number].comparable and base.comparable:
            delta = (row[number].mean or 0.0) - (base.mean or 0.0)
            row[number] = msgspec.structs.replace(row[number], delta=delta)


def aggregated_ranks(
    columns: Sequence[Column], grid: Sequence[Sequence[Cell]], over: Sequence[bool]
) -> list[float | None]:
    """The mean rank of each row of `grid` over the columns of `over`, among the rows that have a rank in all of them.

    None for the others: they would be ranked on fewer tasks, and change the places of the rest on some only.
    """
    per_task = ranks_among_whole(columns, grid, over)
    return [mean(of_row) if of_row else None for of_row in per_task]


def ranks_among_whole(
    columns: Sequence[Column], grid: Sequence[Sequence[Cell]], over: Sequence[bool]
) -> list[list[float]]:
    """For each row its rank in each column of `over`, among the rows that have one in all; none for the others."""
    used = [number for number, counts in enumerate(over) if counts]
    whole = [i for i, row in enumerate(grid) if used and all(row[number].rank is not None for number in used)]
    of_rows: list[list[float]] = [[] for _ in grid]
    for number in used:
        for i, rank in zip(whole, ranks([_key(columns[number], grid[i][number]) for i in whole]), strict=True):
            of_rows[i].append(rank)
    return of_rows
