"""The critical-difference diagram: mean ranks on a line, with bars over those that are not told apart (Demšar 2006)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from optathlon.results.analysis.over_tasks import Overall
from optathlon.results.board.model import Leaderboard
from optathlon.results.errors import TooLittle
from optathlon.results.plots.style import COLUMN, PAGE, Look, looks, short, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE, _BAR = 0.16, 0.09  # inches


def draw(board: Leaderboard, totals: Overall, *, highlight: Collection[str] = ()) -> Figure:
    """Mean ranks of the whole rows; TooLittle unless there are two of them and two tasks."""
    if len(totals.rows) < 2 or len(totals.tasks) < 2 or totals.critical_difference is None:
        what = f"{len(totals.rows)} rows with all of {len(totals.tasks)} tasks"
        raise TooLittle(f"{board.name}: ranks need two rows with at least two common tasks; there are {what}; see --on")
    from matplotlib.figure import Figure

    count, bars = len(totals.rows), len(totals.cliques)
    below = _BAR * bars + _LINE * math.ceil(count / 2) + 0.12
    longest = max(len(short(row.name)) for row in totals.rows)
    margin = 0.085 * longest + 0.55
    width = max(PAGE, 2 * margin + PAGE / 3) if longest > 16 or count > 8 else 1.35 * COLUMN
    note = "\n".join(wrapped(line, int(20 * width)) for line in _note(totals))
    height = 0.55 + below + 0.15 * (note.count("\n") + 1)
    figure = Figure(figsize=(width, height))
    axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axis.set_axis_off()
    axis.set_xlim(0, width)
    axis.set_ylim(0, height)
    _Diagram(axis, totals, looks(board, highlight=highlight), (margin, width - margin), height).draw()
    axis.text(width / 2, 0.04, note, ha="center", va="bottom", fontsize=6.5, color="#444444", linespacing=1.4)
    return figure


class _Diagram:
    def __init__(
        self, axis: Axes, totals: Overall, styles: Mapping[str, Look], span: tuple[float, float], height: float
    ) -> None:
        self.axis, self.totals, self.span = axis, totals, span
        self.styles = styles
        self.top = height - 0.42
        self.most = len(totals.rows)

    def position(self, rank: float) -> float:
        low, high = self.span
        return low + (high - low) * (rank - 1) / (self.most - 1)

    def draw(self) -> None:
        self._line(*self.span, self.top, "#444444", 0.8)
        for rank in range(1, self.most + 1):
            self._stroke((self.position(rank), self.position(rank)), (self.top, self.top + 0.05), "#444444", 0.8)
            self.axis.text(self.position(rank), self.top + 0.07, f"{rank}", ha="center", va="bottom", fontsize=7)
        distance = self.totals.critical_difference or 0.0
        if distance <= self.most - 1:
            y = self.top + 0.3
            self._line(self.position(1), self.position(1 + distance), y, "#000000", 1.0)
            for x in (self.position(1), self.position(1 + distance)):
                self._stroke((x, x), (y - 0.03, y + 0.03), "#000000", 1.0)
            self.axis.text(self.position(1 + distance) + 0.06, y, f"CD = {distance:.2f}", va="center", fontsize=7)
        ranks = {row.name: row.mean_rank for row in self.totals.rows}
        for number, group in enumerate(self.totals.cliques):
            y = self.top - _BAR * (number + 1)
            self._line(self.position(ranks[group[0]]) - 0.04, self.position(ranks[group[-1]]) + 0.04, y, "#000000", 2.4)
        self._names()

    def _names(self) -> None:
        rows = self.totals.rows
        half = (len(rows) + 1) // 2
        start = self.top - _BAR * len(self.totals.cliques) - 0.12
        for side, listed in ((0, rows[:half]), (1, rows[half:][::-1])):
            edge, away = (self.span[0] - 0.12, -0.05) if side == 0 else (self.span[1] + 0.12, 0.05)
            for number, row in enumerate(listed):
                x, y, style = self.position(row.mean_rank), start - _LINE * number, self.styles[row.name]
                self._stroke((x, x, edge), (self.top, y, y), style.color, 0.9)
                self.axis.plot([x], [self.top], marker="o", markersize=3, color=style.color, zorder=4)
                name, rank = short(row.name), f"{row.mean_rank:.2f}"
                text = f"{name}  {rank}" if side == 0 else f"{rank}  {name}"
                self.axis.text(edge + away, y, text, ha="right" if side == 0 else "left", va="center", fontsize=7.5)

    def _line(self, start: float, end: float, y: float, color: str, width: float) -> None:
        self._stroke((start, end), (y, y), color, width)

    def _stroke(self, xs: tuple[float, ...], ys: tuple[float, ...], color: str, width: float) -> None:
        self.axis.plot(xs, ys, color=color, linewidth=width, solid_capstyle="butt", zorder=3)


def _note(totals: Overall) -> tuple[str, str]:
    friedman = "too few rows for Friedman's test" if totals.friedman is None else f"Friedman p = {totals.friedman:.3g}"
    left = f"; left out: {', '.join(totals.left_out)}" if totals.left_out else ""
    return (
        f"mean ranks over {len(totals.tasks)} tasks, 1 is best; {friedman}",
        f"bars join ranks within the critical difference {totals.critical_difference or 0:.2f} (Nemenyi, α = "
        f"{totals.alpha:g}){left}",
    )
