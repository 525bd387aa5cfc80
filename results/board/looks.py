"""Sweeps that buy seeds look by look: what is decided by now, and how many seeds each cell is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.cells import Cells
from optathlon.results.board.marks import Grid, scores_of
from optathlon.results.plan import Column, Plan
from optathlon.results.statistics.holm import ALPHA

if TYPE_CHECKING:
    from optathlon.results.statistics.moderated.looks import SequentialTests

CellName = tuple[str, str]
BEYOND_LOOKS = "not among what the looks decide"
NO_LOOK_YET, AT_NO_LOOK = "the first look is not over", "it was not there at a look"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the looks say of one comparison with the baseline."""

    p: float
    """The smallest p of a look over its share of α."""
    p_holm: float
    """Adjusted over all comparisons of the plan."""
    low: float | None
    high: float | None
    """The ends of the difference, in the score's own direction, that lie in the intervals of all looks."""
    decided_at: int | None
    """Seeds of the look at which it was decided."""


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """A plan with looks, as far as its records go: a pure function of both, whoever asks and how often."""

    looks: list[int]
    reached: int
    """How many looks are over: of each, all seeds that were still asked for have their outcome."""
    asked: dict[CellName, int]
    """How many report seeds each cell (row, column) is asked for by now."""
    verdicts: dict[CellName, Verdict]
    """Of the comparisons that were tested at a look."""

    @property
    def share(self) -> float:
        """The share of α that the last look has that is over; of none, all of it."""
        before = self.looks[self.reached - 2] if self.reached > 1 else 0
        return (self.looks[self.reached - 1] - before) / self.looks[-1] if self.reached else 1.0

    @property
    def alpha(self) -> float:
        """The level of a test that is made anew at each look."""
        return ALPHA * self.share

    def later(self, row: str, column: str) -> int:
        """Returns how many seeds more a cell may still be asked for."""
        asked = self.asked[row, column]
        is_open = self.reached < len(self.looks) and asked == self.looks[self.reached]
        return self.looks[-1] - asked if is_open else 0


def looked(plan: Plan, cells: Cells) -> Looked | None:
    """Returns how far the looks of `plan` have come; None for a plan without looks.

    A look is over when every cell that is asked for its seeds has them, or can get no more: tests see the same data
    whenever they are made. A cell of which a seed diverged or failed is compared no more, and asked for none.
    """
    looks = plan.head.looks
    if not isinstance(looks, list):
        return None
    rows = _baseline_first(plan)
    columns = plan.head.columns
    place = {(row, column.name): (i, j) for i, row in enumerate(rows) for j, column in enumerate(columns)}
    asked = dict.fromkeys(place, looks[0])
    if not _over(cells.asking(asked)):
        return Looked(looks=looks, reached=0, asked=asked, verdicts={})
    # Only here, as NumPy takes longer to import than a plan to read.
    from optathlon.results.statistics.moderated.looks import SequentialTests

    tests = SequentialTests((len(rows), len(columns)), looks)
    while tests.open.any() and _over(now := cells.asking(asked)):
        grid = [[now.cell(row, column) for column in columns] for row in rows]
        seeds = list(dict.fromkeys(seed for row in rows for column in columns for seed in now.seeds(row, column.name)))
        scores = scores_of(columns, grid, 0, seeds)
        if scores is None:
            break
        tests.look(scores)
        asked = {name: int(tests.asked[index]) for name, index in place.items()}
    verdicts = {
        name: _verdict(tests, index, columns[index[1]].higher_is_better)
        for name, index in place.items()
        if tests.p[index] <= 1
    }
    return Looked(looks=looks, reached=tests.reached, asked=asked, verdicts=verdicts)


def _verdict(tests: SequentialTests, index: tuple[int, int], higher_is_better: bool) -> Verdict:
    ends = [float(end[index]) for end in tests.intervals()]
    # Tests have higher scores as the better ones.
    low, high = ends if higher_is_better else (-ends[1], -ends[0])
    known = math.isfinite(low)
    return Verdict(
        p=float(tests.p[index]),
        p_holm=float(tests.p_holm[index]),
        low=low if known else None,
        high=high if known else None,
        decided_at=int(tests.decided_at[index]) or None,
    )


def _baseline_first(plan: Plan) -> list[str]:
    rows = [row.name for row in plan.head.rows]
    return sorted(rows, key=lambda row: row != plan.head.baseline)


def _over(cells: Cells) -> bool:
    return all(cells.over(row.name, column.name) for row in cells.plan.head.rows for column in cells.plan.head.columns)


def with_verdicts(plan: Plan, columns: Sequence[Column], grid: Grid, looks: Looked) -> Grid:
    """Returns `grid`, the cells of all rows of `plan` in `columns`, with p, intervals and marks as its looks have them.

    Columns beyond the plan's own, as a printed table has them, are no part of what the looks decide, and not tested.
    """
    own = [(column.name, column.metric) for column in plan.head.columns]
    return [
        [
            _with_verdict(cell, looks, (row.name, column.name), (column.name, column.metric) in own)
            for column, cell in zip(columns, of_row, strict=True)
        ]
        for row, of_row in zip(plan.head.rows, grid, strict=True)
    ]


_UNJUDGED: dict[str, None] = dict.fromkeys(("p", "p_holm", "delta_lo", "delta_hi"))


def _with_verdict(cell: Cell, looks: Looked, name: CellName, own: bool) -> Cell:
    verdict, untested = looks.verdicts.get(name), cell.untested
    if verdict is None or cell.untested or not cell.comparable or not own:
        if cell.p is not None:
            untested = BEYOND_LOOKS if not own else AT_NO_LOOK if looks.reached else NO_LOOK_YET
        return msgspec.structs.replace(cell, **_UNJUDGED, untested=untested)
    decided_at = verdict.decided_at
    return msgspec.structs.replace(
        cell,
        p=verdict.p,
        p_holm=verdict.p_holm,
        delta_lo=verdict.low,
        delta_hi=verdict.high,
        decided_at=decided_at,
        notes=cell.notes if decided_at is None else [*cell.notes, f"decided at the look of {decided_at} seeds"],
    )
