"""What a board says over all its tasks: ranks, interquartile means, and each row against the baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from optathlon.results.analysis.row_comparison import Comparison, compare_all
from optathlon.results.board.cell import Cell
from optathlon.results.board.judging import ranks_among_whole
from optathlon.results.board.model import Leaderboard
from optathlon.results.board.row import BoardRow
from optathlon.results.plan import Column
from optathlon.results.statistics.difference import Difference
from optathlon.results.statistics.holm import holm
from optathlon.results.statistics.improvement import probability_of_improvement
from optathlon.results.statistics.iqm import iqm, iqm_interval
from optathlon.results.statistics.normalize import normalized
from optathlon.results.statistics.planner import pooled_deviation
from optathlon.results.statistics.ranking import cliques, critical_difference, friedman


class RowOverall(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is whole on the board's `on`, over all those tasks."""

    name: str
    mean_rank: float
    ranks: list[float]
    """One per task."""
    iqm: float | None = None
    """Interquartile mean of its runs, in pooled seed deviations above the baseline's mean; None if a quarter of them
    diverged."""
    iqm_low: float | None = None
    iqm_high: float | None = None
    """The bootstrap's interval of iqm, if no run diverged."""
    improvement: float | None = None
    """The chance that a run beats one of the baseline, mean over tasks."""
    wilcoxon: float | None = None
    """p of no difference to the baseline over tasks."""
    wilcoxon_holm: float | None = None
    """wilcoxon adjusted over the rows."""
    wilcoxon_least: float | None = None
    """The least that wilcoxon could be over so many tasks."""
    standardized: Difference | None = None
    """The mean over tasks of the difference to the baseline in the task's seed deviation, better is positive; its
    interval and p speak of tasks like these."""
    standardized_holm: float | None = None
    """standardized's p adjusted over the rows."""
    wins: int = 0
    losses: int = 0
    """Tasks on which the row is shown to be better or worse than the baseline by the board's marks."""
    ties: int = 0
    """All other tasks."""


class Overall(msgspec.Struct, frozen=True, kw_only=True):
    """What a board comes to over its tasks."""

    board: str
    baseline: str | None
    tasks: list[str]
    """The labels of those that all is taken over."""
    rows: list[RowOverall]
    """Best mean rank first."""
    left_out: list[str]
    """Rows that lack a task."""
    friedman: float | None
    """p that all rank alike."""
    critical_difference: float | None
    """Nemenyi's, of mean ranks."""
    cliques: list[list[str]]
    """The largest groups within the critical difference."""
    scaled_on: list[str]
    """The tasks of the interquartile mean; the others have no spread, or a baseline that diverged."""
    alpha: float


def overall(board: Leaderboard) -> Overall:
    """The aggregates of `board` over its `on`; a run that diverged counts as worse than any that did not."""
    board = _on(board)
    whole = board.whole()
    grid = [row.cells for row in whole]
    ranks = ranks_among_whole(board.columns, grid, [True] * len(board.columns))
    keys = {row.name: of_row for row, of_row in zip(whole, ranks, strict=True)}
    mean_ranks = {row.name: row.mean_rank or 0.0 for row in whole}
    several = len(whole) > 1 and len(board.columns) > 1
    distance = critical_difference(len(whole), len(board.columns), board.alpha) if several else None
    scales = [_scale(board, at) for at in range(len(board.columns))]
    base = _base(board)
    others = [row.name for row in whole if row is not base]
    compared = dict(zip(others, compare_all(board, others, base.name), strict=True)) if base else {}
    rows = [_row(board, row, keys[row.name], scales, compared.get(row.name)) for row in whole]
    adjusted = holm([row.wilcoxon for row in rows])
    standardized = holm([row.standardized.p if row.standardized else None for row in rows])
    rows = [
        msgspec.structs.replace(row, wilcoxon_holm=p, standardized_holm=q)
        for row, p, q in zip(rows, adjusted, standardized, strict=True)
    ]
    return Overall(
        board=board.name,
        baseline=board.baseline,
        tasks=[column.label for column in board.columns],
        rows=sorted(rows, key=lambda row: row.mean_rank),
        left_out=[row.name for row in board.rows if row.name not in keys],
        friedman=friedman(keys) if several else None,
        critical_difference=distance,
        cliques=cliques(mean_ranks, distance) if distance is not None else [],
        scaled_on=[c.label for c, scale in zip(board.columns, scales, strict=True) if scale],
        alpha=board.alpha,
    )


def _on(board: Leaderboard) -> Leaderboard:
    """`board` with only the columns that aggregates are taken over."""
    used = [at for at, column in enumerate(board.columns) if column.name in board.on]
    rows = [msgspec.structs.replace(row, cells=[row.cells[at] for at in used]) for row in board.rows]
    return msgspec.structs.replace(board, columns=[board.columns[at] for at in used], rows=rows)


def _base(board: Leaderboard) -> BoardRow | None:
    """The row of the baseline, if it is whole."""
    return next((row for row in board.whole() if row.name == board.baseline), None)


def _scale(board: Leaderboard, number: int) -> tuple[float, float] | None:
    """The scores that are 0 and 1 on a task: the baseline's mean, and better than it by a pooled deviation of seeds."""
    base = next((row.cells[number] for row in board.whole() if row.name == board.baseline), None)
    spread = pooled_deviation([row.cells[number].finite for row in board.whole() if row.cells[number].comparable])
    if base is None or base.mean is None or not base.comparable or not spread:
        return None
    return base.mean, base.mean + (spread if board.columns[number].higher_is_better else -spread)


def _row(
    board: Leaderboard,
    row: BoardRow,
    ranks: list[float],
    scales: Sequence[tuple[float, float] | None],
    compared: Comparison | None,
) -> RowOverall:
    overall_row = RowOverall(name=row.name, mean_rank=row.mean_rank or 0.0, ranks=ranks)
    base = _base(board)
    scores = [
        normalized(_runs(cell, column), *scale)
        for cell, column, scale in zip(row.cells, board.columns, scales, strict=True)
        if scale
    ]
    if scores and math.isfinite(middle := iqm(scores)):
        whole = all(math.isfinite(score) for runs in scores for score in runs)
        ends = _interval(board, row, base) if whole and base is not None and base is not row else (None, None)
        overall_row = msgspec.structs.replace(overall_row, iqm=middle, iqm_low=ends[0], iqm_high=ends[1])
    if base is None or compared is None:
        return overall_row
    ours, theirs = (
        [_runs(cell, column) for cell, column in zip(r.cells, board.columns, strict=True)] for r in (row, base)
    )
    chance = probability_of_improvement(ours, theirs, [column.higher_is_better for column in board.columns])
    every = all(task.welch for task in compared.tasks)
    won, lost = _shown(board, row)
    return msgspec.structs.replace(
        overall_row,
        improvement=chance,
        wilcoxon=compared.wilcoxon if every and len(compared.tasks) > 1 else None,
        wilcoxon_least=compared.wilcoxon_least if every and len(compared.tasks) > 1 else None,
        standardized=compared.standardized if every else None,
        wins=won,
        losses=lost,
        ties=len(row.cells) - won - lost,
    )


def _interval(board: Leaderboard, row: BoardRow, base: BoardRow) -> tuple[float | None, float | None]:
    """Of the interquartile mean over the tasks that have a scale; None where a task has one seed."""
    scores, zeros, free = [], [], []
    for number, column in enumerate(board.columns):
        if (scale := _scale(board, number)) is not None:
            unit = scale[1] - scale[0]
            scores.append([value / unit for value in _runs(row.cells[number], column)])
            zeros.append([value / unit for value in _runs(base.cells[number], column)])
            cells = [other.cells[number] for other in board.whole() if other.cells[number].comparable]
            free.append(sum(cell.n - 1 for cell in cells))
    if any(len(runs) < 2 for runs in [*scores, *zeros]):
        return None, None
    return iqm_interval(scores, zeros, free, 1 - board.alpha)


def _shown(board: Leaderboard, row: BoardRow) -> tuple[int, int]:
    """On how many tasks the row is shown to be better, and worse, than the baseline."""
    pairs = zip(board.columns, row.cells, strict=True)
    proven = [(c, cell) for c, cell in pairs if cell.p_holm is not None and cell.p_holm < board.alpha]
    better = sum(((cell.delta or 0.0) > 0) == column.higher_is_better for column, cell in proven)
    return better, len(proven) - better


def _runs(cell: Cell, column: Column) -> list[float]:
    worst = -math.inf if column.higher_is_better else math.inf
    return [worst if value is None else value for value in cell.values]
