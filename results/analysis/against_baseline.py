"""Each row against the baseline, task by task: its interval on the board, and Dunnett's for all of a task together."""

from __future__ import annotations

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.model import Leaderboard
from optathlon.results.statistics.difference import Difference
from optathlon.results.statistics.dunnett import dunnett, unequal_spreads


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """`row` less the baseline on a task; delta, low, high, p and p_holm as the cell has them."""

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
    """Dunnett's test of all rows of the task against the baseline, with simultaneous intervals."""
    unequal: bool = False
    """The baseline's spread is unlike that of the others, so that Dunnett's one deviation for all misleads."""


def against(board: Leaderboard) -> list[Against]:
    """Every complete cell that is compared with the baseline, task by task; none without a baseline."""
    base_row = next((row for row in board.rows if row.name == board.baseline), None)
    differences = []
    for number in range(len(board.columns)) if base_row else ():
        base = base_row.cells[number] if base_row else None
        cells = {row.name: row.cells[number] for row in board.rows if row is not base_row}
        ready = {name: cell for name, cell in cells.items() if cell.status == "complete" and cell.delta is not None}
        if base is None or base.status != "complete" or not ready:
            continue
        together = dunnett({name: cell.finite for name, cell in ready.items()}, base.finite, 1 - board.alpha)
        unequal = unequal_spreads([base.finite, *(cell.finite for cell in ready.values())], board.alpha)
        for name, cell in ready.items():
            differences.append(_against(board, number, name, cell, together.get(name), unequal))
    return differences


def _against(board: Leaderboard, at: int, row: str, cell: Cell, together: Difference | None, unequal: bool) -> Against:
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
        unequal=unequal,
    )
