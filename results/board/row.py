"""One row of a leaderboard."""

from __future__ import annotations

import msgspec

from optathlon.results.board.cell import Cell


class BoardRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a leaderboard."""

    name: str
    optimizer: str
    notes: list[str]
    mean_rank: float | None
    """Over the board's `on`, among the rows that have a rank in each of them; None for the others."""
    cells: list[Cell]
    """In the columns' order."""
