"""Each row against the baseline, task by task: Welch's interval of each, and Dunnett's for all of a task together."""

from __future__ import annotations

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.model import Leaderboard
from optathlon.results.statistics.difference import Difference
from optathlon.results.statistics.dunnett import dunnett


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """`row` less the baseline on a task. delta, low, high, p: Welch's; p_holm: over the board, as the cell has it.

    dunnett: Dunnett's test of all rows of the task against the baseline, with simultaneous intervals.
    """

    task: str
    row: str
    unit: str
    higher_is_better: bool
    digits: int
    delta: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    dunnett: Difference | None


def against(board: Leaderboard) -> list[Against]:
    """Every complete cell that is compared with the baseline, task by task; none without a baseline."""
    base_row = next((row for row in board.rows if row.name == board.baseline), None)
    found = []
    for at in range(len(board.columns)) if base_row else ():
        base = base_row.cells[at] if base_row else None
        cells = {row.name: row.cells[at] for row in board.rows if row is not base_row}
        ready = {name: cell for name, cell in cells.items() if cell.status == "complete" and cell.delta is not None}
        if base is None or base.status != "complete" or not ready:
            continue
        together = dunnett({name: cell.finite for name, cell in ready.items()}, base.finite, 1 - board.alpha)
        for name, cell in ready.items():
            found.append(_against(board, at, name, cell, together.get(name)))
    return found


def _against(board: Leaderboard, at: int, row: str, cell: Cell, together: Difference | None) -> Against:
    column = board.columns[at]
    return Against(
        task=column.label,
        row=row,
        unit=column.unit,
        higher_is_better=column.higher_is_better,
        digits=column.digits,
        delta=cell.delta or 0.0,
        low=cell.delta_lo,
        high=cell.delta_hi,
        p=cell.p,
        p_holm=cell.p_holm,
        dunnett=together,
    )
