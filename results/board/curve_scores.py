"""Scores that a sweep's [table] takes from curves: the norm after the first epoch, the share that a test detected."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from optathlon.results.plan import Table, TableColumn, TableCurve
from optathlon.results.record import Curve, Record, Score, hyperparameters

CURVE_SPLIT = "training"
"""What stands before the names of such scores, where others have their split: "training/norm_first"."""


def curve_columns(table: Table | msgspec.UnsetType) -> list[TableColumn]:
    """The columns of `table` whose numbers are taken from curves."""
    return [] if table is msgspec.UNSET else [c for c in table.columns if c.curve is not msgspec.UNSET]


def with_curve_scores(records: Iterable[Record], columns: Iterable[TableColumn]) -> dict[str, Record]:
    """`records` by id, with a score for each of `columns` that their tasks and curves have, and without curves."""
    columns = list(columns)
    return {record.id: _with_scores(record, columns) for record in records}


def _with_scores(record: Record, columns: Iterable[TableColumn]) -> Record:
    scores = list(record.scores)
    for column in columns:
        # Of a run that diverged the board knows without a score.
        points = _points(record, column.curve) if column.curve and record.problem["task"] in column.of else []
        if column.curve and points and record.status == "finished":
            score = Score(
                name=column.metric,
                unit=column.unit,
                higher_is_better=column.higher_is_better,
                value=column.curve.factor * _number(points, column.curve.at),
            )
            scores.append(score)
    return msgspec.structs.replace(record, scores=scores, curve=Curve(unit=record.curve.unit, points={}))


def _points(record: Record, curve: TableCurve) -> list[tuple[float, float]]:
    """The finite points of `curve`; none, where the run has no such curve or no hyperparameter that its name needs."""
    try:
        name = curve.name.format_map({key: _short(value) for key, value in hyperparameters(record.setting).items()})
    except KeyError:
        return []
    return [(time, value) for time, value in record.curve.points.get(name, []) if value is not None]


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(points: list[tuple[float, float]], when: float | str) -> float:
    values = [value for _, value in points]
    if when == "mean":
        return math.fsum(values) / len(values)
    return next((value for time, value in points if when != "last" and time >= float(when)), values[-1])
