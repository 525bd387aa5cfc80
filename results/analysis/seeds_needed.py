"""How many more seeds would decide a board's comparisons with its baseline."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.model import Leaderboard
from optathlon.results.plan import Column
from optathlon.results.statistics.planner import POWER, pooled_deviation, seeds_needed


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison. deviation: of one run, pooled over the column. n: seeds that both have now.

    more: further seeds of both, until a difference as large as the observed one is found with a chance of 80 %, at the
    level alpha / family that the board's Holm asks of its smallest p; 0 if it is decided, None if 1000 are not enough,
    or there is no difference, or no deviation to plan with.
    """

    task: str
    row: str
    baseline: str
    delta: float
    deviation: float | None
    n: int
    p_holm: float | None
    decided: bool
    more: int | None


def needs(board: Leaderboard, power: float = POWER) -> list[Need]:
    """A Need for each complete cell that is compared with the baseline, rows by columns in the board's order."""
    if board.baseline is None:
        return []
    bases = next(row.cells for row in board.rows if row.name == board.baseline)
    listed = []
    for row in board.rows:
        for number, (column, cell, base) in enumerate(zip(board.columns, row.cells, bases, strict=True)):
            if cell.delta is not None and cell.status == base.status == "complete":
                deviation = _deviation([other.cells[number] for other in board.rows])
                listed.append(_need(board, column, row.name, cell, base, deviation, power))
    return listed


def _deviation(cells: Sequence[Cell]) -> float | None:
    return pooled_deviation([cell.finite for cell in cells if cell.comparable])


def _need(
    board: Leaderboard, column: Column, row: str, cell: Cell, base: Cell, deviation: float | None, power: float
) -> Need:
    delta, n = cell.delta or 0.0, min(cell.n, base.n)
    decided = cell.p_holm is not None and cell.p_holm < board.alpha
    more: int | None = 0 if decided else None
    if not decided and delta and deviation:
        total = seeds_needed(delta, deviation, board.alpha / max(1, board.family), power)
        more = None if total is None else max(1, total - n)
    return Need(
        task=column.label,
        row=row,
        baseline=board.baseline or "",
        delta=delta,
        deviation=deviation,
        n=n,
        p_holm=cell.p_holm,
        decided=decided,
        more=more,
    )
