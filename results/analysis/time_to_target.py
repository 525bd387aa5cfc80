"""How long each row trains until it reaches a target: ratios to the fastest, AlgoPerf's score, speed-ups.

Time is that of the curves, epochs or updates, and so the same on every machine.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import msgspec

from optathlon.results.analysis.learning_curves import higher_is_better, shown_curve, values
from optathlon.results.board.model import Leaderboard
from optathlon.results.plan import Column
from optathlon.results.record import Record
from optathlon.results.statistics.speedup import speed_up
from optathlon.results.statistics.targets import R_MAX, algoperf_score, time_ratios, time_to_target

# A run may reach its target at time 0; ratios want something above it.
_LEAST = 1e-9


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be reached on a task, by which curve."""

    task: str
    curve: str
    unit: str
    """Of times: epochs or steps."""
    value: float
    higher_is_better: bool
    longest: float
    """The last time at which a run there measured the curve."""


class RowTimes(msgspec.Struct, frozen=True, kw_only=True):
    """One row's times to the targets."""

    name: str
    times: list[float | None]
    """One per target, None where it was not reached: the median over seeds, of an even number the later middle one."""
    ratios: list[float | None]
    """To the fastest row."""
    score: float
    """AlgoPerf's."""
    speed_up: float | None
    """Over the baseline, None for itself."""


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """How soon each row of a board reaches the targets."""

    board: str
    baseline: str | None
    targets: list[Target]
    rows: list[RowTimes]
    """Best score first."""
    left_out: dict[str, str]
    """Tasks, and rows that lack one of the rest, with why."""
    r_max: float = R_MAX
    """How many times the fastest row's time the profile goes to."""


def times(board: Leaderboard, records: Mapping[str, Record], targets_given: Mapping[str, float] | None = None) -> Times:
    """Times of the whole rows of `board` on the tasks of its `on`. records: those its cells show, with curves.

    targets_given: by the name of the column; on the others it is what most seeds of the row that ends worst end with,
    or better. Were it the baseline's own end, the baseline would be first among equals on every board.
    The curve is that of the column's metric if it is measured while training, else of its validation twin, or of what
    selects.
    """
    rows = [row.name for row in board.whole()]
    left_out = {row.name: "lacks a task" for row in board.rows if row.name not in rows}
    targets: list[Target] = []
    reached: dict[str, list[float]] = {name: [] for name in rows}
    for column in board.columns:
        if column.name not in board.on:
            continue
        target_and_times = _on_task(board, column, records, (targets_given or {}).get(column.name))
        if isinstance(target_and_times, str):
            left_out[column.label] = target_and_times
            continue
        target, of_row = target_and_times
        targets.append(target)
        for name in rows:
            reached[name].append(of_row.get(name, math.inf))
    ratios = time_ratios(reached) if targets and rows else {}
    longest = [max(target.longest, _LEAST) for target in targets]
    listed = [_row(board, name, reached, ratios[name], longest) for name in ratios]
    return Times(
        board=board.name,
        baseline=board.baseline,
        targets=targets,
        rows=sorted(listed, key=lambda row: -row.score),
        left_out=left_out,
    )


def _on_task(
    board: Leaderboard, column: Column, records: Mapping[str, Record], target_score: float | None
) -> tuple[Target, dict[str, float]] | str:
    """The target of a task and each row's time to it; why there is none, in words, where that is so."""
    at = board.columns.index(column)
    runs = {row.name: [records[run] for run in row.cells[at].runs if run in records] for row in board.whole()}
    records_shown = [record for of_row in runs.values() for record in of_row]
    if not records_shown:
        return "no row has all its runs"
    name = shown_curve(column, records_shown)
    if name is None or name.startswith("train/"):
        return "no run measured a score while it trained"
    curves = {row: [values(record, name) for record in of_row] for row, of_row in runs.items()}
    higher = higher_is_better(name, column, records_shown)
    if target_score is None:
        ends = [end for of_row in runs.values() if (end := _end(of_row, name, higher)) is not None]
        if not ends:
            return "there is no row whose runs all came to an end: give a --target"
        target_score = min(ends) if higher else max(ends)
    times_of_rows = {
        row: max(
            statistics.median_high([time_to_target(points.items(), target_score, higher) for points in of_row]), _LEAST
        )
        for row, of_row in curves.items()
        if of_row
    }
    last = max((max(points, default=0.0) for of_row in curves.values() for points in of_row), default=0.0)
    unit = next(record.curve.unit for record in records_shown if name in record.curve.points)
    target = Target(task=column.label, curve=name, unit=unit, value=target_score, higher_is_better=higher, longest=last)
    return target, times_of_rows


def _end(records: Sequence[Record], name: str, higher: bool) -> float | None:
    """The best score that more than half of `records` end with, so that the median of their times to it is finite."""
    curves = [values(record, name) for record in records]
    if not curves or not all(curves) or any(record.status == "diverged" for record in records):
        return None
    ends = [points[max(points)] for points in curves]
    return statistics.median_low(ends) if higher else statistics.median_high(ends)


def _row(
    board: Leaderboard,
    name: str,
    reached: Mapping[str, list[float]],
    ratios: list[float],
    longest: list[float],
) -> RowTimes:
    base = reached.get(board.baseline or "")
    return RowTimes(
        name=name,
        times=[_finite(time) for time in reached[name]],
        ratios=[_finite(ratio) for ratio in ratios],
        score=algoperf_score(ratios),
        speed_up=speed_up(base, reached[name], longest) if base and name != board.baseline else None,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
