"""How many more seeds would decide a board's comparisons with its baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from optathlon.results.board.marks import scores_of
from optathlon.results.board.model import Leaderboard
from optathlon.results.plan import Column
from optathlon.results.statistics.planner import POWER, seeds_needed

if TYPE_CHECKING:
    from optathlon.results.statistics.moderated.noise_model import Comparisons


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison with the baseline, and what would decide it if the true difference is the observed one."""

    task: str
    row: str
    baseline: str
    delta: float
    better: bool
    """Whether the row's mean is the better one; only where `decided` is that shown."""
    deviation: float | None
    """Of one run: what the noise of the board makes of the two rows' deviations. None where there is none."""
    n: int
    """Seeds that both have now."""
    p_holm: float | None
    decided: bool
    more: int | None
    """Further seeds of both, until the board's test finds it with a chance of 80 % at the level that Holm asks of the
    smallest p; 0 if it is decided, None if 1000 (or the last look) are not enough, or there is no difference or no
    noise to plan with."""
    last_look: int | None = None
    """The most seeds of a sweep with looks."""
    chance: float | None = None
    """That it is decided by the last look, in a sweep with looks."""


def needs(board: Leaderboard, power: float = POWER) -> list[Need]:
    """Returns a Need for each complete cell that is compared with the baseline, rows by columns in their order."""
    if board.baseline is None:
        return []
    planner = _Planner(board, power)
    return [
        planner.need(number, at)
        for number, row in enumerate(board.rows)
        for at, (cell, base) in enumerate(zip(row.cells, planner.base.cells, strict=True))
        if cell.delta is not None and cell.status == base.status == "complete"
    ]


class _Planner:
    """Plans by the noise of the cells that a board shows: each cell's variance as it is drawn, seeds as correlated."""

    def __init__(self, board: Leaderboard, wanted: float) -> None:
        self.board, self.wanted = board, wanted
        self.plans: dict[int, Comparisons] = {}
        self.level = board.alpha / max(1, board.family)
        base = next(i for i, row in enumerate(board.rows) if row.name == board.baseline)
        self.base = board.rows[base]
        # The tests have the baseline first, and then the other rows in their order.
        self.place = {i: 0 if i == base else i + (i < base) for i in range(len(board.rows))}
        scores = scores_of(board.columns, [list(row.cells) for row in board.rows], base)
        if scores is None:
            self.tests = None
        else:
            from optathlon.results.statistics.moderated.board_tests import BoardTests

            self.tests = BoardTests(scores)

    def _planned(self, seeds: int) -> Comparisons:
        assert self.tests is not None
        if seeds not in self.plans:
            self.plans[seeds] = self.tests.planned(seeds)
        return self.plans[seeds]

    def _chance(self, at: tuple[int, int], delta: float, seeds: int, share: float = 1.0) -> float:
        from optathlon.results.statistics.moderated.planned_power import chance_found

        return chance_found(self._planned(seeds), at, delta, self.level * share)

    def need(self, number: int, column_number: int) -> Need:
        """Of row `number` in column `at`."""
        board, row = self.board, self.board.rows[number]
        column, cell, base = board.columns[column_number], row.cells[column_number], self.base.cells[column_number]
        delta, place = cell.delta or 0.0, (self.place[number], column_number)
        decided = cell.p_holm is not None and cell.p_holm < board.alpha
        deviation = self._deviation(place)
        plannable = not decided and bool(delta) and deviation is not None
        n = min(cell.n, base.n)
        more, chance = (0, None) if decided else (None, None)
        if plannable and board.looks:
            more, chance = self._by_looks(place, delta, n)
        elif plannable:
            total = seeds_needed(lambda seeds: self._chance(place, delta, seeds), self.wanted)
            more = None if total is None else max(1, total - n)
        return Need(
            task=column.label,
            row=row.name,
            baseline=board.baseline or "",
            delta=delta,
            better=_better(column, delta),
            deviation=deviation,
            n=n,
            p_holm=cell.p_holm,
            decided=decided,
            more=more,
            last_look=board.looks[-1] if board.looks else None,
            chance=chance,
        )

    def _by_looks(self, place: tuple[int, int], delta: float, n: int) -> tuple[int | None, float]:
        """How many seeds more until a look finds it with the wanted chance, and the best chance that a look has."""
        from optathlon.results.statistics.moderated.looks import shares

        looks = self.board.looks
        chances = {
            seeds: self._chance(place, delta, seeds, share)
            for seeds, share in zip(looks, shares(looks), strict=True)
            if seeds > n
        }
        enough = next((seeds for seeds, chance in chances.items() if chance >= self.wanted), None)
        return (None if enough is None else enough - n), max(chances.values(), default=0.0)

    def _deviation(self, place: tuple[int, int]) -> float | None:
        """Of one run: twice the variance of it is that of a difference between two runs of unlike seeds."""
        if self.tests is None or not self.tests.model.cells.df[place] or not self.tests.model.cells.df[0, place[1]]:
            return None
        errors = self.tests.standard_errors() ** 2 * self.tests.model.cells.seeds
        return float(((errors[place] + errors[0, place[1]]) / 2) ** 0.5)


def _better(column: Column, delta: float) -> bool:
    return (delta > 0) == column.higher_is_better
