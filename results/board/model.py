"""What a leaderboard is: rows of cells, and what is said of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.judging import ALPHA
from optathlon.results.board.reference_rows import ReferenceRow
from optathlon.results.plan import Column

if TYPE_CHECKING:
    import pandas


SCHEMA = 1


DDOF = 1


class BoardRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row: its cells in the columns' order. mean_rank: over the board's `on`, among the rows that have a rank in
    each of them; None for the others."""

    name: str
    optimizer: str
    notes: list[str]
    mean_rank: float | None
    cells: list[Cell]


class Leaderboard(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of optimizers, or of settings, by columns of problems. baseline: the row that deltas are taken to.

    family: how many comparisons with the baseline were tested, which p_holm accounts for. alpha: of all verdicts. on:
    names of the columns that aggregates are taken over; none in a printed table, whose columns repeat tasks.
    references: models that no optimizer trains, in no rank, test or aggregate.
    """

    name: str
    scale: str
    baseline: str | None
    columns: list[Column]
    rows: list[BoardRow]
    references: list[ReferenceRow] = []
    on: list[str] = []
    family: int = 0
    alpha: float = ALPHA
    ddof: int = DDOF
    schema: int = SCHEMA

    def cell(self, row: str, column: str) -> Cell:
        """The cell of `row` in `column`, both by name; KeyError if there is none."""
        at = {c.name: i for i, c in enumerate(self.columns)}[column]
        return {r.name: r for r in self.rows}[row].cells[at]

    def whole(self) -> list[BoardRow]:
        """The rows that aggregates are taken of: those with all their records in each column of `on`."""
        return [row for row in self.rows if row.mean_rank is not None]

    def to_pandas(self) -> pandas.DataFrame:
        """One line a cell, with the columns of the long CSV."""
        import pandas

        from optathlon.results.text.formats import long_table

        header, lines = long_table(self)
        return pandas.DataFrame(lines, columns=header)
