"""One row of a leaderboard."""

from __future__ import annotations

import msgspec

from optathlon.results.board.cell import Cell


class BoardRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row: its cells in the columns' order. mean_rank: over the board's `on`, among the rows that have a rank in
    each of them; None for the others."""

    name: str
    optimizer: str
    notes: list[str]
    mean_rank: float | None
    cells: list[Cell]
