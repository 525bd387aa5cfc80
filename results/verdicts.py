"""What may be said of a board's cells: difference to the baseline, rank, best, and what is proven of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from results.cell import Cell
from results.record import Column
from results.scores import ranks
from results.statistics.holm import holm
from results.statistics.ties import ALPHA, tied_with_best
from results.statistics.welch import welch

__all__ = ["ALPHA", "judged"]


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
    sign = -1.0 if column.higher_is_better else 1.0
    done = [i for i, cell in enumerate(cells) if cell.status in ("complete", "diverged")]
    keys = [
        (cells[i].status == "diverged", cells[i].n_diverged / cells[i].n_planned, sign * (cells[i].mean or 0.0))
        for i in done
    ]
    return dict(zip(done, ranks(keys), strict=True))


def _compared(cell: Cell, base: Cell) -> Cell:
    if not cell.comparable or not base.comparable:
        return cell
    found = welch(cell.finite, base.finite)
    if cell.status == base.status == "complete":
        return msgspec.structs.replace(cell, delta=found.delta, delta_lo=found.low, delta_hi=found.high, p=found.p)
    # To test before all seeds are done is to look until it is significant.
    return msgspec.structs.replace(cell, delta=found.delta)
