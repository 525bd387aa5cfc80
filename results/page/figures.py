"""The figures of one task: curves, their differences to the baseline, the tuning budget, and a strip a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from optathlon.results.analysis.learning_curves import (
    Band,
    band,
    difference,
    higher_is_better,
    shown_curve,
    since,
    start,
    window,
)
from optathlon.results.board.cell import Cell
from optathlon.results.page.markup import Html, join, tag
from optathlon.results.page.report import Report
from optathlon.results.page.svg import Axis, Series, chart, color_class
from optathlon.results.page.words import count, figure, listed
from optathlon.results.plan import Column
from optathlon.results.record import Record
from optathlon.results.statistics.difference import mean_interval

STRIP_WIDTH, STRIP_HEIGHT = 170, 20
_INSET = 5


def curve_figures(report: Report, column: Column) -> Html:
    """The task's curves, and beside them their differences to the baseline; a sentence where there is none."""
    records = [record for _, cell in report.cells(column) for record in report.shown(cell)]
    name = shown_curve(column, records)
    if name is None:
        return tag("p", "No run has recorded a curve.", class_="note") if records else Html("")
    drawn = _Curves(report, column, records, name)
    if not drawn.bands:
        return tag("p", f"No curve of {name} can be drawn: a seed of each row diverged before it.", class_="note")
    return join([drawn.values(), drawn.differences()])


class _Curves:
    """The curve `name` of each row of a task, its band over seeds, and the part of training and of values to show."""

    def __init__(self, report: Report, column: Column, records: Sequence[Record], name: str) -> None:
        self.report, self.column, self.name = report, column, name
        self.better = higher_is_better(name, column, records)
        self.unit = next(record.curve.unit for record in records if name in record.curve.points)
        self.by_row = report.curves(column, name)
        self.diverged = {row.name for row, cell in report.cells(column) if cell.n_diverged}
        self.bands = self._ended({row: band(list(of_seeds.values())) for row, of_seeds in self.by_row.items()})
        if self.bands:
            self.shown = self._window(self.bands)
            first = start(self._colored(self.bands), self.shown)
            last = max(found.times[-1] for found in self.bands.values())
            self.x = first, last if last > first else first + 1.0

    def values(self) -> Html:
        """The curves themselves."""
        lost = [row for row in self.by_row if row not in self.bands]
        note = f"{'higher' if self.better else 'lower'} is better."
        note += f" Not drawn: {listed(lost)}, which diverged before the first evaluation." if lost else ""
        return self._figure(self.bands, f"{self.name} during training", note, self.shown)

    def differences(self) -> Html | None:
        """The curves less the baseline's; None without one, or another."""
        baseline = self.report.board.baseline
        base = self.by_row.get(baseline or "", {})
        others = {row: of_seeds for row, of_seeds in self.by_row.items() if row != baseline}
        bands = self._ended({row: difference(of_seeds, base) for row, of_seeds in others.items()}, baseline)
        if not bands:
            return None
        low, high = shown = self._window(bands)
        around = min(low, 0.0), max(high, 0.0)
        # 0 is shown, too, where that costs no more than half of the height.
        reach = around if around[1] - around[0] < 2 * (high - low) else shown
        note = f"{'above' if self.better else 'below'} 0 is better."
        return self._figure(bands, f"less {baseline}, seed by seed", note, reach, "+")

    def _ended(self, bands: Mapping[str, Band | None], base: str | None = None) -> dict[str, Band]:
        """The bands there are, marked where they end if a run of the row, or of `base`, diverged."""
        lost = set(bands) if base in self.diverged else self.diverged
        return {
            row: msgspec.structs.replace(found, whole=False) if row in lost else found
            for row, found in bands.items()
            if found is not None
        }

    def _colored(self, bands: Mapping[str, Band]) -> list[Band]:
        return [found for row, found in bands.items() if row in self.report.colors] or list(bands.values())

    def _window(self, bands: Mapping[str, Band]) -> tuple[float, float]:
        return window(self._colored(bands)) or (0.0, 1.0)

    def _figure(self, bands: Mapping[str, Band], title: str, note: str, y: tuple[float, float], sign: str = "") -> Html:
        colors, numbers = self.report.colors, self.report.number
        series = [
            Series(name=row, number=numbers[row], color=colors.get(row), band=since(band, self.x[0]))
            for row, band in bands.items()
        ]
        ends = (f"{row} {figure(band.middle[-1], self.column.digits, sign)}" for row, band in bands.items())
        description = f"{title} on {self.column.label}; at the end: {', '.join(ends)}"
        svg = chart(series, self.x, y, self.unit, description, zero=bool(sign))
        return tag("figure", tag("figcaption", tag("b", title), " ", note), svg)


def budget_figure(report: Report, column: Column) -> Html | None:
    """What the best of k settings is expected to reach on validation, for each row that tuned several; None if none."""
    task_budgets = report.budgets.get(column.label, [])
    bands = {
        budget.row: Band(times=[float(k + 1) for k in range(len(budget.best))], middle=budget.best, low=budget.best,
                         high=budget.best, seeds=1)
        for budget in task_budgets
    }  # fmt: skip
    shown = window([curve for row, curve in bands.items() if row in report.colors])
    if shown is None:
        return None
    series = [
        Series(name=row, number=report.number[row], color=report.colors.get(row), band=curve, area=False)
        for row, curve in bands.items()
    ]
    title, measure = "expected best of k settings", f"{column.selection}, by random order of those tried"
    lost = sum(budget.diverged for budget in task_budgets)
    diverged = f"; {count(lost, 'setting')} that diverged counted as the worst that did not" if lost else ""
    last = float(max(len(budget.best) for budget in task_budgets))
    description = f"{title} on {column.label}: {measure}"
    svg = chart(series, (1.0, last), shown, "settings tried (k)", description, whole=True)
    return tag("figure", tag("figcaption", tag("b", title), " ", measure, diverged, "."), svg)


def strip_axis(cells: Sequence[Cell]) -> Axis | None:
    """The common axis of a task's strips: what the seeds of all its rows span, without means far off the others."""
    bands = [
        Band(times=[1.0], middle=[cell.mean], low=[cell.min], high=[cell.max], seeds=cell.n)
        for cell in cells
        if cell.mean is not None and cell.min is not None and cell.max is not None
    ]
    shown = window(bands)
    return Axis(*shown, STRIP_WIDTH - 2 * _INSET) if shown else None


def strip(axis: Axis, cell: Cell, base: Cell | None, color: int | None) -> Html:
    """Each seed as a dot, the mean as a bar and its 95 % t interval as a line; the baseline's mean as a dashed line."""
    middle = STRIP_HEIGHT // 2
    parts = []
    if base is not None and base.mean is not None and axis.holds(base.mean):
        parts.append(tag("path", class_="base", d=f"M{_on(axis, base.mean)} 0v{STRIP_HEIGHT}"))
    interval = mean_interval(cell.finite)
    if interval:
        start, end = (min(max(_on(axis, v), 0), STRIP_WIDTH) for v in interval)
        parts.append(tag("path", class_="interval", d=f"M{start} {middle}H{end}"))
    dots = "".join(f"M{_on(axis, v)} {middle}h0" for v in cell.finite if axis.holds(v))
    parts += [tag("path", class_="seeds", d=dots)] if dots else []
    if cell.mean is not None and axis.holds(cell.mean):
        parts.append(tag("path", class_="mean", d=f"M{_on(axis, cell.mean)} 3v{STRIP_HEIGHT - 6}"))
    elif cell.mean is not None:
        below = cell.mean < axis.low
        place = {"x": 0, "text_anchor": None} if below else {"x": STRIP_WIDTH, "text_anchor": "end"}
        parts.append(tag("text", "← off" if below else "off →", y=middle + 4, **place))
    return tag("svg", *parts, class_=f"strip {color_class(color)}", aria_hidden="true")


def _on(axis: Axis, value: float) -> int:
    return round(axis.position(value)) + _INSET
