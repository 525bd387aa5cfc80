"""What the runs of one task measured beside their scores: norms, effective steps, probes."""

from __future__ import annotations

from collections.abc import Iterable

from optathlon.results.analysis.learning_curves import Band, band
from optathlon.results.page.markup import Html, join, tag
from optathlon.results.page.report import Report
from optathlon.results.page.svg import Series, chart
from optathlon.results.page.words import count
from optathlon.results.plan import Column

MOST = 8
"""How many are drawn of one task; the others are named."""
_FIRST = ("scale_invariant_norm", "effective_step", "weight_norm")
_SPLITS = ("train", "validation", "test")


def diagnostics(report: Report, column: Column) -> Html | None:
    """Folded, a figure per measured quantity, over all of training; None if there is none."""
    figures: list[Html] = []
    names = _measured(report, column)
    for name in names[:MOST]:
        bands = {row: band(list(of_seeds.values())) for row, of_seeds in report.curves(column, name).items()}
        if drawn := {row: of_row for row, of_row in bands.items() if of_row is not None}:
            figures.append(_figure(report, column, name, drawn))
    if not figures:
        return None
    rest = ", ".join(names[MOST:])
    others = tag("p", f"Not drawn here: {rest} (optathlon plot curves --metric).", class_="note") if rest else None
    head = tag("summary", f"Diagnostics: {count(len(figures), 'figure')}")
    return tag("details", head, join([tag("div", *figures, class_="figures"), others]), class_="diagnostics")


def _measured(report: Report, column: Column) -> list[str]:
    """The curves of the column's runs that are no scores and no losses, the standard ones first."""
    shown = (record for _, cell in report.cells(column) for record in report.shown(cell))
    names = {name for record in shown for name in record.curve.points if name.partition("/")[0] not in _SPLITS}
    return sorted(names, key=lambda name: (name.count("/"), _place(name), name))


def _place(name: str) -> int:
    quantity = name.rpartition("/")[2]
    return _FIRST.index(quantity) if quantity in _FIRST else len(_FIRST)


def _figure(report: Report, column: Column, name: str, bands: dict[str, Band]) -> Html:
    series = [
        Series(name=row, number=report.number[row], color=report.colors.get(row), band=of_row, area=False)
        for row, of_row in bands.items()
    ]
    times = [time for of_row in bands.values() for time in of_row.times]
    x = min(times), max(times) if max(times) > min(times) else min(times) + 1.0
    y = _span(value for of_row in bands.values() for value in of_row.middle)
    unit = next(record.curve.unit for _, cell in report.cells(column) for record in report.shown(cell))
    ends = ", ".join(f"{row} {of_row.middle[-1]:.3g}" for row, of_row in bands.items())
    svg = chart(series, x, y, unit, f"{name} on {column.label}; at the end: {ends}")
    return tag("figure", tag("figcaption", tag("b", name), " mean over seeds, neither direction is better."), svg)


def _span(values: Iterable[float]) -> tuple[float, float]:
    known = list(values)
    low, high = min(known), max(known)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin
