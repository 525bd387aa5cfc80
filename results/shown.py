"""The words of a board for people: cells, marks, footnotes and caption, the same in every format that is read."""

from __future__ import annotations

from collections.abc import Iterable

from results.board import BoardRow, Leaderboard
from results.cell import Cell
from results.record import Column

PROVEN, TIED = "†", "≈"
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def metric(column: Column) -> str:
    """ "test/accuracy (%) ↑"."""
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.metric}{unit} {'↑' if column.higher_is_better else '↓'}"


class Shown:
    """The words for a board's cells and rows, and the footnotes they refer to, numbered as they are first shown."""

    def __init__(self, board: Leaderboard) -> None:
        self.board = board
        self.notes: dict[str, int] = {}
        self.planned = sorted({c.n_planned for row in board.rows for c in row.cells if c.n_planned})
        self.rank_title = ["mean rank"] if len(board.columns) > 1 else []

    def cells(self, row: BoardRow) -> list[tuple[Cell, str]]:
        """Each cell of `row` with its text."""
        columns = self.board.columns
        return [(cell, self._cell(cell, column)) for column, cell in zip(columns, row.cells, strict=True)]

    def row(self, row: BoardRow) -> str:
        return row.name + self._marks(row.notes)

    def mean_rank(self, row: BoardRow) -> list[str]:
        return ["–" if row.mean_rank is None else f"{row.mean_rank:.2f}"] * len(self.rank_title)

    def _cell(self, cell: Cell, column: Column) -> str:
        if cell.mean is None:
            return ("diverged" if cell.status == "diverged" else "–") + self._marks(cell.notes)
        parts = [number(cell.mean, column.digits)]
        if cell.delta is not None:
            mark = PROVEN if self.proven(cell) else ""
            parts.append(f"({number(cell.delta, column.digits, '+')}){mark}")
        if cell.std is not None:
            parts.append(f"± {number(cell.std, column.digits)}")
        if count := self.count(cell):
            parts.append(count)
        if cell.tied and not cell.best:
            parts.append(TIED)
        return " ".join(parts) + self._marks(cell.notes)

    def proven(self, cell: Cell) -> bool:
        """Whether the cell is shown to differ from the baseline."""
        return cell.p_holm is not None and cell.p_holm < self.board.alpha

    def count(self, cell: Cell) -> str:
        """The cell's seeds, where they are not those of all: "2/3" or "n=2"."""
        if cell.n < cell.n_planned:
            return f"{cell.n}/{cell.n_planned}"
        return f"n={cell.n}" if len(self.planned) > 1 else ""

    def numbers(self, notes: Iterable[str]) -> list[int]:
        """The numbers of footnotes, new ones for those not shown before."""
        return [self.notes.setdefault(note, len(self.notes) + 1) for note in notes]

    def _marks(self, notes: Iterable[str]) -> str:
        numbers = self.numbers(notes)
        return f" {','.join(str(n).translate(_SUPERSCRIPT) for n in numbers)}" if numbers else ""

    def caption(self) -> str:
        over = f"n = {self.planned[0]} seeds" if len(self.planned) == 1 else "n seeds"
        baseline = f" (difference to {self.board.baseline})" if self.board.baseline else ""
        return f"{self.board.name}: mean{baseline} ± sample standard deviation (ddof = {self.board.ddof}) over {over}"

    def verdicts(self) -> list[str]:
        """What the marks of verdicts mean here, and over which family they hold."""
        board, cells = self.board, [cell for row in self.board.rows for cell in row.cells]
        said = []
        if board.family:
            shown = "" if any(map(self.proven, cells)) else "; none is"
            said.append(
                f"{PROVEN} shown to differ from {board.baseline}: p < {board.alpha:g} by Welch's test, Holm over all "
                f"{board.family} comparisons with it on this board (more rows or tasks change p, no mean){shown}"
            )
        elif any(cell.delta is not None for cell in cells):
            said.append("no difference is tested: one seed, no spread, or seeds to come")
        if any(cell.tied and not cell.best for cell in cells):
            said.append(f"{TIED} not separable from the best of its column (Welch's test, Holm over the column)")
        return said

    def footnotes(self) -> list[tuple[str, str]]:
        return [(str(number).translate(_SUPERSCRIPT), note) for note, number in self.notes.items()]


def number(value: float, digits: int, sign: str = "") -> str:
    """`value` with `digits` decimals; sign: "+" for differences."""
    # Adding 0.0 turns a difference that rounds to -0.00 into +0.00.
    return format(round(value, digits) + 0.0, f"{sign}.{digits}f")
