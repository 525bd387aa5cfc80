"""What may be said of a board's cells: difference to the baseline, rank, best, and what is proven of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.plan import Column
from optathlon.results.statistics.holm import holm
from optathlon.results.statistics.summary import mean, ranks
from optathlon.results.statistics.ties import ALPHA, tied_with_best
from optathlon.results.statistics.welch import welch

__all__ = ["ALPHA", "aggregated_ranks", "judged", "ranks_among_whole"]


def judged(columns: Sequence[Column], grid: Sequence[Sequence[Cell]], baseline: int | None) -> list[list[Cell]]:
    """`grid`, rows of cells in the columns' order, with all that depends on other cells.

    p_holm is adjusted over every comparison with the baseline in the grid, and so may change when a row or a column is
    added; mean and delta never do. "Best" and "tied" are of one column.
    """
    turned = [_column(c, [row[at] for row in grid], baseline) for at, c in enumerate(columns)]
    rows = [list(row) for row in zip(*turned, strict=True)] if columns else [[] for _ in grid]
    adjusted = iter(holm([cell.p for row in rows for cell in row]))
    return [[msgspec.structs.replace(cell, p_holm=next(adjusted)) for cell in row] for row in rows]


def _column(column: Column, cells: list[Cell], baseline: int | None) -> list[Cell]:
    rank_of = _ranks(column, cells)
    first = min(rank_of.values(), default=None)
    whole = [i for i in rank_of if not cells[i].n_diverged]
    tied = tied_with_best([cells[i].finite for i in whole], column.higher_is_better)
    tied_of = dict(zip(whole, tied, strict=True))
    base = cells[baseline] if baseline is not None else None
    found = []
    for i, cell in enumerate(cells):
        best = i in tied_of and rank_of[i] == first
        marked = msgspec.structs.replace(cell, rank=rank_of.get(i), best=best, tied=tied_of.get(i, False))
        found.append(marked if i == baseline or base is None else _compared(marked, base))
    return found


def _ranks(column: Column, cells: Sequence[Cell]) -> dict[int, float]:
    """The rank of each cell with all its records, by index: diverged seeds come after all others."""
    done = [i for i, cell in enumerate(cells) if cell.status in ("complete", "diverged")]
    return dict(zip(done, ranks([_key(column, cells[i]) for i in done]), strict=True))


def _key(column: Column, cell: Cell) -> tuple[bool, float, float]:
    sign = -1.0 if column.higher_is_better else 1.0
    return cell.status == "diverged", cell.n_diverged / cell.n_planned, sign * (cell.mean or 0.0)


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
    used = [at for at, counts in enumerate(over) if counts]
    whole = [i for i, row in enumerate(grid) if used and all(row[at].rank is not None for at in used)]
    found: list[list[float]] = [[] for _ in grid]
    for at in used:
        for i, rank in zip(whole, ranks([_key(columns[at], grid[i][at]) for i in whole]), strict=True):
            found[i].append(rank)
    return found


def _compared(cell: Cell, base: Cell) -> Cell:
    if not cell.comparable or not base.comparable:
        return cell
    found = welch(cell.finite, base.finite)
    if cell.status == base.status == "complete":
        return msgspec.structs.replace(cell, delta=found.delta, delta_lo=found.low, delta_hi=found.high, p=found.p)
    # To test before all seeds are done is to look until it is significant.
    return msgspec.structs.replace(cell, delta=found.delta)
