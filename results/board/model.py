"""What a leaderboard is: rows of cells, and what is said of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.judging import ALPHA
from optathlon.results.board.long_table import long_table
from optathlon.results.board.reference_rows import ReferenceRow
from optathlon.results.board.row import BoardRow
from optathlon.results.plan import Column

if TYPE_CHECKING:
    import pandas


SCHEMA = 1
DDOF = 1


class Leaderboard(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of optimizers, or of settings, by columns of problems."""

    name: str
    scale: str
    baseline: str | None
    """The row that deltas are taken to."""
    columns: list[Column]
    rows: list[BoardRow]
    references: list[ReferenceRow] = []
    """Models that no optimizer trains, in no rank, test or aggregate."""
    on: list[str] = []
    """Names of the columns that aggregates are taken over; none in a printed table, whose columns repeat tasks."""
    family: int = 0
    """How many comparisons with the baseline were tested in the whole plan, which p_holm accounts for."""
    plan_shape: tuple[int, int] = (0, 0)
    """Rows and columns of the whole plan, which p, intervals and marks are of."""
    collapsing: bool = False
    """Seeds collapse now and then, so that small differences of three or four seeds are not believed."""
    baseline_apart: bool = False
    """Seeds of the other rows move together, and the baseline's do not move with them: marks † err more often."""
    looks: list[int] = []
    """Numbers of seeds at which undecided comparisons are tested; none where all seeds are run at once."""
    looks_over: int = 0
    """How many looks are over."""
    alpha: float = ALPHA
    """Of all verdicts."""
    across: Literal["tasks", "optimizers"] = "tasks"
    """What stands side by side where it is printed, in columns."""
    published: str = ""
    """The table of a paper whose numbers stand in the cells: "AdamP Table 2, H.1"."""
    only_published: list[str] = []
    """What that table has beside, and no row here: in words."""
    ddof: int = DDOF
    schema: int = SCHEMA

    def cell(self, row: str, column: str) -> Cell:
        """The cell of `row` in `column`, both by name; KeyError if there is none."""
        number = {c.name: i for i, c in enumerate(self.columns)}[column]
        return {r.name: r for r in self.rows}[row].cells[number]

    def whole(self) -> list[BoardRow]:
        """The rows that aggregates are taken of: those with all their records in each column of `on`."""
        return [row for row in self.rows if row.mean_rank is not None]

    def long_table(self) -> tuple[list[str], list[list[Any]]]:
        """Header and lines, one a cell, rows by columns in the board's order; hyperparameters last, None where missing.

        After them a line for each score of a reference model, whose kind is "reference", with its name as row and its
        score as mean.
        """
        return long_table(self.columns, self.rows, self.references, {"baseline": self.baseline, "ddof": self.ddof})

    def to_pandas(self) -> pandas.DataFrame:
        """One line per cell, with the columns of the long CSV (docs/leaderboards.md)."""
        import pandas

        header, lines = self.long_table()
        return pandas.DataFrame(lines, columns=pandas.Index(header))
