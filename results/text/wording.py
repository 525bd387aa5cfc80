"""The words of a board for people: cells, marks, footnotes and caption, the same in every format that is read."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.marks import NO_SPREAD
from optathlon.results.board.model import Leaderboard
from optathlon.results.board.row import BoardRow
from optathlon.results.plan import Column

PROVEN, TIED = "†", "≈"
UNTRAINED = "(no optimizer)"
METHOD = "moderated t test (docs/statistics.md)"
COLLAPSING = (
    "some seeds collapse; 3 or 4 seeds cannot tell luck from difference, so that none is shown which such a seed could "
    "make; run 5 or more"
)
APART = (
    "the seeds of the rows move together, but not with those of {baseline}: a board of equals has a † with a chance "
    "of up to 0.11 in place of 0.05"
)
UNTESTED_BEST = f"no row has {TIED} where the best has no spread: that they are worse is then not shown"
PICKED = "the best mean of a column was picked for being high: expect less of it (mean_shrunk in the CSV)"
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def with_names(board: Leaderboard, write: Callable[[str], str]) -> Leaderboard:
    """`board` with its names, labels and notes, which may come from anywhere, as `write` makes them."""
    change = msgspec.structs.replace
    columns = [change(c, label=write(c.label), metric=write(c.metric), unit=write(c.unit)) for c in board.columns]
    rows = [
        change(
            row,
            name=write(row.name),
            notes=[write(note) for note in row.notes],
            cells=[change(cell, notes=[write(n) for n in cell.notes]) if cell.notes else cell for cell in row.cells],
        )
        for row in board.rows
    ]
    references = [change(row, name=write(row.name)) for row in board.references]
    baseline = None if board.baseline is None else write(board.baseline)
    return change(board, name=write(board.name), baseline=baseline, columns=columns, rows=rows, references=references)


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
        self.rank_title = ["mean rank"] if len(board.columns) > 1 and board.on else []

    def groups(self) -> list[list[BoardRow]]:
        """The rows that have an aggregate, and then those that lack a cell for it; one group where none is shown."""
        if not self.rank_title:
            return [self.board.rows]
        whole = self.board.whole()
        names = {row.name for row in whole}
        return [group for group in (whole, [row for row in self.board.rows if row.name not in names]) if group]

    def cells(self, row: BoardRow) -> list[tuple[Cell, str]]:
        """Each cell of `row` with its text."""
        columns = self.board.columns
        return [(cell, self._cell(cell, column)) for column, cell in zip(columns, row.cells, strict=True)]

    def row(self, row: BoardRow) -> str:
        return row.name + self._marks(row.notes)

    def references(self) -> list[list[str]]:
        """The lines of the reference models, marked as such, as long as those of rows."""
        columns, board = self.board.columns, self.board
        return [
            [
                f"{row.name} {UNTRAINED}",
                *("" if v is None else number(v, c.digits) for c, v in zip(columns, row.values, strict=True)),
                *("" for _ in self.rank_title),
            ]
            for row in board.references
        ]

    def mean_rank(self, row: BoardRow) -> list[str]:
        """The mean rank, or of how many of the tasks that it is taken over the row has all records."""
        if not self.rank_title:
            return []
        return [f"{len(self._ranked(row))}/{len(self.board.on)}" if row.mean_rank is None else f"{row.mean_rank:.2f}"]

    def _ranked(self, row: BoardRow) -> list[str]:
        cells = zip(self.board.columns, row.cells, strict=True)
        return [column.name for column, cell in cells if cell.rank is not None and column.name in self.board.on]

    def _cell(self, cell: Cell, column: Column) -> str:
        if cell.mean is None:
            word = column.without_value if cell.status == "diverged" else "–"
            return word + self._marks(cell.notes) + self.published(cell, column)
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
        return " ".join(parts) + self._marks(cell.notes) + self.published(cell, column)

    def published(self, cell: Cell, column: Column) -> str:
        """ " [70.47 ± 0.16]", what the paper has; "" where it has nothing."""
        numbers = [
            number(theirs.mean, column.digits)
            + (f" ± {number(theirs.std, column.digits)}" if theirs.std is not None else "")
            + self._marks([theirs.note] if theirs.note else [])
            for theirs in cell.published
        ]
        return f" [{'; '.join(numbers)}]" if numbers else ""

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
        """What the marks of verdicts mean here, by which method, and over which family they hold."""
        board, cells = self.board, [cell for row in self.board.rows for cell in row.cells]
        sentences = []
        if board.family:
            shown = "" if any(map(self.proven, cells)) else "; none is"
            sentences.append(
                f"{PROVEN} shown to differ from {board.baseline}{self.claim()}: p < {board.alpha:g} by the "
                f"{METHOD}, Holm over {_all(board.family)} with it in the {self._plan()}"
                f"{self.looks()}{shown}"
            )
        elif any(cell.delta is not None for cell in cells):
            sentences.append("no difference is tested: one seed, no spread, or seeds to come")
        if any(cell.tied and not cell.best for cell in cells):
            sentences.append(
                f"{TIED} not shown to be worse than the best of its column{self.claim()}: all pairs of the "
                f"column together, by the {METHOD}"
            )
        if any(cell.best and cell.untested == NO_SPREAD for cell in cells):
            sentences.append(UNTESTED_BEST)
        sentences += self._tuning()
        if board.collapsing:
            sentences.append(COLLAPSING)
        if board.baseline_apart:
            sentences.append(APART.format(baseline=board.baseline))
        if any(cell.best and cell.mean_shrunk is not None and cell.mean_shrunk != cell.mean for cell in cells):
            sentences.append(PICKED)
        if board.published:
            sentences.append(f"[ ] as published: {board.published}")
            sentences += [f"{board.published} has beside: {number}" for number in board.only_published]
        if board.references:
            sentences.append(f"{UNTRAINED} a reference model on the same data: in no rank, test or aggregate")
        return [*sentences, *self._aggregates()]

    def _plan(self) -> str:
        rows, columns = self.board.plan_shape
        part = (len(self.board.rows), len(self.board.columns)) != (rows, columns)
        tasks = f"{columns} task{'s' * (columns != 1)}"
        return (
            f"whole plan ({rows} rows, {tasks}), of which a part is shown" if part else f"plan ({rows} rows, {tasks})"
        )

    def claim(self) -> str:
        """What a mark speaks of where settings were tuned: one choice, or a choice made anew with every seed."""
        tuned = [cell for row in self.board.rows for cell in row.cells if cell.settings_tried > 1]
        if any(cell.chosen for cell in tuned):
            return ", tuning included"
        return " for these settings" if tuned else ""

    def _tuning(self) -> list[str]:
        """How far a tuning with other seeds would move what is chosen, where the runs can tell that."""
        spreads = []
        for at, column in enumerate(self.board.columns):
            cells = [row.cells[at] for row in self.board.rows]
            known = [cell.tuning_std for cell in cells if cell.tuning_std is not None]
            if known:
                counted = any(cell.chosen for cell in cells)
                score = column.metric if counted else column.selection or column.metric
                spreads.append((counted, f"{statistics.median(known):.2g} of {score} on {column.label}"))
        return [
            f"{what}: {', '.join(words)} (median of the rows)"
            for counted, what in (
                (False, "deviation that choosing again with other tuning seeds would add, which no mark counts"),
                (True, "the choice's part of the deviation between seeds, which marks count"),
            )
            if (words := [text for is_counted, text in spreads if is_counted == counted])
        ]

    def looks(self) -> str:
        """At which numbers of seeds was tested, and how far that is."""
        board = self.board
        if not board.looks:
            return ""
        *first, last = map(str, board.looks)
        seeds = f"{', '.join(first)} and {last}" if first else last
        over = f"{board.looks_over} of {len(board.looks)} over"
        return f", its {board.alpha:g} split over looks at {seeds} seeds ({over})"

    def _aggregates(self) -> list[str]:
        """Over which tasks and rows the mean rank is taken, where it is not all of them."""
        board = self.board
        part = len(board.on) < len(board.columns)
        if not self.rank_title or not (part or len(self.groups()) > 1):
            return []
        labels = {column.name: column.label for column in board.columns}
        where = f"{len(board.on)} of {len(board.columns)} tasks" if part else f"all {len(board.on)} tasks"
        which = f" ({', '.join(labels[name] for name in board.on)})" if part else ""
        below = "; below the line, how many the others have" if len(self.groups()) > 1 and board.whole() else ""
        return [f"mean rank over {where}{which}, among rows with all their seeds in each{below}"]

    def footnotes(self) -> list[tuple[str, str]]:
        return [(str(number).translate(_SUPERSCRIPT), note) for note, number in self.notes.items()]


def _all(comparisons: int) -> str:
    return "the only comparison" if comparisons == 1 else f"all {comparisons} comparisons"


def number(value: float, digits: int, sign: str = "") -> str:
    """`value` with `digits` decimals; sign: "+" for differences."""
    # Adding 0.0 turns a difference that rounds to -0.00 into +0.00.
    return format(round(value, digits) + 0.0, f"{sign}.{digits}f")
