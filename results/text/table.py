"""A leaderboard for a terminal: as wide as it is, and where it does not fit, split by tasks or with tasks as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from optathlon.results.board.model import Leaderboard
from optathlon.results.board.row import BoardRow
from optathlon.results.readable import one_line
from optathlon.results.text.columns import GAP, cells, fold, line_up, longest_piece
from optathlon.results.text.wording import Shown, metric, with_names


@dataclass(frozen=True)
class Line:
    """A row of texts under its name."""

    name: str
    texts: list[str]
    bold: list[bool]
    """Which of the texts is."""


@dataclass(frozen=True)
class Grid:
    """Lines of texts under heads."""

    corner: str
    """What the names of the lines are: "optimizer"."""
    heads: list[list[str]]
    """The lines of each column's head."""
    groups: list[list[Line]]
    """A rule stands between them."""

    @property
    def lines(self) -> list[Line]:
        return [line for group in self.groups for line in group]

    def part(self, columns: slice) -> Grid:
        """The same with some of the columns, without lines that have nothing there: reference models of others."""
        groups = [[Line(ln.name, ln.texts[columns], ln.bold[columns]) for ln in group] for group in self.groups]
        shown = [[line for line in group if any(line.texts)] for group in groups]
        return replace(self, heads=self.heads[columns], groups=[group for group in shown if group])

    def transposed(self, corner: str) -> Grid:
        """Columns as lines, and lines as columns."""
        lines = [
            Line(" ".join(head).strip(), [ln.texts[i] for ln in self.lines], [ln.bold[i] for ln in self.lines])
            for i, head in enumerate(self.heads)
        ]
        return Grid(corner, [[line.name] for line in self.lines], [lines])


def table(board: Leaderboard, *, color: bool, width: int | None) -> str:
    """`board` as aligned text of at most `width` cells a line, of any width if None; color: the best is bold, too."""
    board = with_names(board, one_line)
    shown = Shown(board)
    grid = _grid(board, shown, color)
    notes = (f"{mark} {note}" for mark, note in shown.footnotes())
    said = [shown.caption() + "; * best", *shown.verdicts(), *notes]
    if board.across == "optimizers":
        grid = grid.transposed("task")
    return "\n".join([*_laid_out(grid, width), *(fold(line, width) for line in said)]) + "\n"


def _grid(board: Leaderboard, shown: Shown, color: bool) -> Grid:
    heads = [[column.label, metric(column)] for column in board.columns]
    heads += [[title, ""] for title in shown.rank_title]
    groups = [[_line(shown, row, color) for row in group] for group in shown.groups()]
    references = [Line(name, texts, [False] * len(texts)) for name, *texts in shown.references()]
    return Grid("optimizer", heads, [*groups, references] if references else groups)


def _line(shown: Shown, row: BoardRow, color: bool) -> Line:
    name = shown.row(row)
    texts = [f"{text} *" if cell.best else text for cell, text in shown.cells(row)]
    bold = [cell.best and color for cell in row.cells]
    return Line(name, [*texts, *shown.mean_rank(row)], [*bold, *(False for _ in shown.rank_title)])


def _laid_out(grid: Grid, width: int | None) -> list[str]:
    """The lines of the layout that needs fewest: whole, in blocks of columns, or with tasks as rows."""
    natural = _natural(grid)
    if width is None or sum(natural) + GAP * (len(natural) - 1) <= width:
        return _block(grid, natural)
    layouts = [_blocks(grid, width)]
    turned = grid.transposed("task" if grid.corner == "optimizer" else "optimizer")
    if len(pages := list(_pages(turned, width))) == 1:
        layouts.append(_block(turned, pages[0][1]))
    return min(layouts, key=len)


def _natural(grid: Grid) -> list[int]:
    """The width of the names and of each column, so that nothing wraps."""
    names = max(cells(text) for text in (grid.corner, *(line.name for line in grid.lines)))
    return [names, *(max(map(cells, (*head, *_texts(grid, i)))) for i, head in enumerate(grid.heads))]


def _texts(grid: Grid, column: int) -> list[str]:
    return [line.texts[column] for line in grid.lines]


def _blocks(grid: Grid, width: int) -> list[str]:
    """Block below block, each with as many of the columns as fit."""
    lines: list[str] = []
    for columns, widths in _pages(grid, width):
        lines += [*([""] if lines else []), *_block(grid.part(columns), widths)]
    return lines


def _pages(grid: Grid, width: int) -> Iterator[tuple[slice, list[int]]]:
    """Which columns each block has, and the widths of names and columns: heads wrap, cells only where one alone is too
    wide."""
    pieces = max(map(longest_piece, (grid.corner, *(line.name for line in grid.lines))))
    names = min(_natural(grid)[0], max(pieces, width // 3), width // 2)
    room = width - names - GAP
    least = [
        min(room, max((*map(cells, _texts(grid, i)), *map(longest_piece, head)), default=1))
        for i, head in enumerate(grid.heads)
    ]
    first = 0
    while first < len(least):
        last, used = first + 1, least[first]
        while last < len(least) and used + GAP + least[last] <= room:
            used, last = used + GAP + least[last], last + 1
        yield slice(first, last), [names, *least[first:last]]
        first = last


def _block(grid: Grid, widths: Sequence[int]) -> list[str]:
    rule = (" " * GAP).join("-" * width for width in widths)
    to_the_right = [False, *(True for _ in grid.heads)]
    lines = []
    for level in range(max(map(len, grid.heads), default=1)):
        texts = ["" if level else grid.corner, *(head[level] for head in grid.heads)]
        # Where mean ranks stand alone, no column has a second line.
        lines += line_up(texts, widths, to_the_right) if any(texts) else []
    for group in grid.groups:
        lines.append(rule)
        for line in group:
            lines += line_up([line.name, *line.texts], widths, to_the_right, [False, *line.bold])
    return [*lines, rule]
