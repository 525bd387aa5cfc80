"""Cells with what is tested of them: intervals, p, the marks † and ≈, and why nothing could be tested."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.plan import Column
from optathlon.results.statistics.difference import Difference
from optathlon.results.statistics.holm import ALPHA
from optathlon.results.statistics.shrinkage import shrunken

if TYPE_CHECKING:
    import numpy as np

    from optathlon.results.statistics.moderated.board_tests import BoardTests

Grid = list[list[Cell]]
NO_SPREAD, ONE_SEED = "no spread over seeds", "one seed"
NOISIER = "noisier than its row and column: its p is no less than Welch's"


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A grid of cells with all that depends on other cells."""

    grid: Grid
    collapsing: bool = False
    """Whether seeds of the board collapse now and then: small differences of three or four seeds are not believed."""

    baseline_apart: bool = False
    """Whether seeds of the other rows move together, and the baseline's do not move with them: p may be too small."""

    @property
    def family(self) -> int:
        """How many comparisons with the baseline are tested."""
        return sum(cell.p is not None for row in self.grid for cell in row)


def marked(
    columns: Sequence[Column], grid: Grid, baseline: int | None, shown: Sequence[int], tie_alpha: float = ALPHA
) -> Judged:
    """Returns `grid` with what its tests say.

    shown: the rows among which the best of a column is. tie_alpha: the level at which a row is worse than that.
    """
    marked_grid = [list(map(_why_not, row)) for row in grid]
    scores = scores_of(columns, grid, baseline)
    if scores is None:
        return Judged(grid=marked_grid)
    # Only here, as NumPy takes longer to import than a board without tests takes to build.
    from optathlon.results.statistics.moderated.board_tests import BoardTests

    tests, order = BoardTests(scores), _order(len(grid), baseline)
    _mark_ties(marked_grid, tests, order, shown, tie_alpha)
    if baseline is not None:
        _mark_differences(columns, marked_grid, tests, order)
    _shrink(columns, marked_grid, tests, order)
    apart = baseline is not None and bool(tests.model.correlation.baseline_apart)
    return Judged(grid=marked_grid, collapsing=bool(tests.collapses.found), baseline_apart=apart)


def _ready(cell: Cell) -> bool:
    return cell.comparable and cell.status == "complete"


def _why_not(cell: Cell) -> Cell:
    return msgspec.structs.replace(cell, untested=ONE_SEED) if _ready(cell) and cell.n < 2 else cell


def _order(count: int, baseline: int | None) -> list[int]:
    """The rows with the baseline first, as the tests want them."""
    first = [] if baseline is None else [baseline]
    return [*first, *(i for i in range(count) if i != baseline)]


def scores_of(
    columns: Sequence[Column], grid: Grid, baseline: int | None, seeds: Sequence[int] | None = None
) -> np.ndarray | None:
    """Returns what is tested, (rows, columns, seeds), baseline first, higher is better; None if no cell has two scores.

    NaN in cells that are not complete, as to test before all seeds are done is to look until it is significant, and in
    cells with diverged seeds, whose means are of mere survivors. seeds: their order; by default they rise.
    """
    if not any(_ready(cell) and cell.n > 1 for row in grid for cell in row):
        return None
    import numpy as np

    ordered = sorted({seed for row in grid for cell in row for seed in cell.seeds}) if seeds is None else seeds
    number = {seed: i for i, seed in enumerate(ordered)}
    scores = np.full((len(grid), len(columns), len(number)), np.nan)
    for position, i in enumerate(_order(len(grid), baseline)):
        for at, cell in enumerate(grid[i]):
            if _ready(cell):
                scores[position, at, [number[seed] for seed in cell.seeds]] = cell.values
    return scores * np.array([1.0 if column.higher_is_better else -1.0 for column in columns])[:, None]


def _mark_ties(grid: Grid, tests: BoardTests, order: Sequence[int], shown: Sequence[int], alpha: float) -> None:
    import numpy as np

    tied = tests.tied_with_best(np.isin(order, shown), alpha)
    silent = (tests.model.cells.df == 0) & (tests.model.cells.seeds > 1)
    for position, i in enumerate(order):
        for number, cell in enumerate(grid[i]):
            if silent[position, number]:
                notes = [*cell.notes, f"not tested: {NO_SPREAD}"]
                grid[i][number] = msgspec.structs.replace(cell, untested=NO_SPREAD, notes=notes)
            elif tied[position, number] and not cell.best:
                grid[i][number] = msgspec.structs.replace(cell, tied=True)


def _mark_differences(columns: Sequence[Column], grid: Grid, tests: BoardTests, order: Sequence[int]) -> None:
    comparisons, half_widths = tests.against_baseline(), tests.half_widths(1 - ALPHA)
    base = grid[order[0]]
    for position, i in list(enumerate(order))[1:]:
        for number, cell in enumerate(grid[i]):
            where, delta = (position, number), cell.delta or 0.0
            if not comparisons.p[where] <= 1:
                why = cell.untested or (base[number].untested and f"{base[number].untested} of the baseline")
                grid[i][number] = msgspec.structs.replace(cell, untested=why if _ready(cell) else None)
                continue
            half = float(half_widths[where])
            grid[i][number] = msgspec.structs.replace(
                cell,
                delta_lo=delta - half,
                delta_hi=delta + half,
                p=float(comparisons.p[where]),
                p_holm=float(comparisons.p_holm[where]),
                p_welch=None
                if comparisons.p_welch[where] != comparisons.p_welch[where]
                else float(comparisons.p_welch[where]),
                refused=bool(comparisons.refused[where]),
                notes=[*cell.notes, NOISIER] if comparisons.noisier[where] else cell.notes,
            )


def _shrink(columns: Sequence[Column], grid: Grid, tests: BoardTests, order: Sequence[int]) -> None:
    """Means drawn towards their column's, so that the best is not better than it is expected to be."""
    errors = tests.standard_errors()
    for number in range(len(columns)):
        rows = [(position, i) for position, i in enumerate(order) if _ready(grid[i][number])]
        means = shrunken([grid[i][number].mean or 0.0 for _, i in rows], [float(errors[p, number]) for p, _ in rows])
        for (_, i), value in zip(rows, means, strict=True):
            grid[i][number] = msgspec.structs.replace(grid[i][number], mean_shrunk=value)


class RowDifferences(msgspec.Struct, frozen=True, kw_only=True):
    """One row less another, column by column, by the noise of the whole grid; None where nothing can be tested."""

    differences: list[Difference | None]
    deviations: list[float | None]
    """Between seeds, as is typical of each column."""


def row_differences(columns: Sequence[Column], grid: Grid, rows: Sequence[int], other: int) -> list[RowDifferences]:
    """Each of `rows` less row `other`, by their indices in `grid`."""
    scores = scores_of(columns, grid, other)
    if scores is None:
        return [RowDifferences(differences=[None for _ in columns], deviations=[None for _ in columns]) for _ in rows]
    from optathlon.results.statistics.moderated.board_tests import BoardTests

    tests = BoardTests(scores)
    comparisons, half_widths = tests.against_baseline(), tests.half_widths(1 - ALPHA)
    deviations = [float(deviation) or None for deviation in tests.typical_deviations()]
    order, listed = _order(len(grid), other), []
    for row in rows:
        differences: list[Difference | None] = []
        for column, (mine, base) in enumerate(zip(grid[row], grid[other], strict=True)):
            place = order.index(row), column
            delta, half = (mine.mean or 0.0) - (base.mean or 0.0), float(half_widths[place])
            p = float(comparisons.p[place])
            known = Difference(delta=delta, low=delta - half, high=delta + half, p=p)
            differences.append(known if p <= 1 else None)
        listed.append(RowDifferences(differences=differences, deviations=deviations))
    return listed
