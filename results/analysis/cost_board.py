"""Boards by cost: the seconds that a row needs to reach a task's target, or the memory that it takes.

Costs are what records hold of their own run (provenance.cost): they belong to the machine, and only runs on like
devices compare. The same tests and marks as on the board of scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from optathlon.results.analysis.learning_curves import values
from optathlon.results.analysis.time_to_target import Target, times
from optathlon.results.board.cell import Cell
from optathlon.results.board.cells import sampled
from optathlon.results.board.judging import aggregated_ranks, judged
from optathlon.results.board.model import Leaderboard
from optathlon.results.board.row import BoardRow
from optathlon.results.plan import SECONDS_TO, Column
from optathlon.results.record import Record
from optathlon.results.scores import number
from optathlon.results.statistics.targets import time_to_target

By = Literal["time", "memory"]


def cost_board(
    board: Leaderboard,
    records: Mapping[str, Record],
    by: By,
    user_targets: Mapping[str, float] | None = None,
    part: Leaderboard | None = None,
) -> Leaderboard:
    """`board`, that of a whole plan, with costs in place of its scores; lower is better, n and seeds stay.

    records: those its cells show, with curves and whole provenance. user_targets: targets by the name of a column, else
    those of `times`, which no row sets for itself. part: a board of some of its rows and columns; only those are shown,
    and p, intervals and marks are of the whole all the same.
    time: seconds of updates, that is the updates at which a run first measures the target times its measured seconds
    per update; evaluations and checkpoints are not in it. A run that never does ranks as one that diverged. Columns
    without a curve of their score are left out. memory: MiB at most, of the GPU where the run had one, else of the
    process.
    """
    part = part or board
    targets = {target.task: target for target in times(board, records, user_targets).targets} if by == "time" else {}
    judging = [i for i, column in enumerate(board.columns) if by == "memory" or column.label in targets]
    columns = [_column(board.columns[i], targets.get(board.columns[i].label)) for i in judging]
    devices = {i: _devices(records, [run for row in board.rows for run in row.cells[i].runs]) for i in judging}
    grid = [
        [_cell(row.cells[i], records, targets.get(board.columns[i].label), devices[i]) for i in judging]
        for row in board.rows
    ]
    shown_rows = [i for i, row in enumerate(board.rows) if row.name in {other.name for other in part.rows}]
    shown = [i for i, column in enumerate(columns) if column.name in {other.name for other in part.columns}]
    baseline = next((i for i, row in enumerate(board.rows) if row.name == part.baseline), None)
    verdicts = judged(columns, grid, baseline, shown_rows)
    cut = [[verdicts.grid[i][number] for number in shown] for i in shown_rows]
    shown_columns = [columns[number] for number in shown]
    on = [column.name in part.on for column in shown_columns]
    return msgspec.structs.replace(
        board,
        baseline=part.baseline,
        columns=shown_columns,
        rows=_rows([board.rows[i] for i in shown_rows], shown_columns, cut, on),
        references=[],
        on=[column.name for column, used in zip(shown_columns, on, strict=True) if used],
        family=0 if baseline is None else verdicts.family,
        plan_shape=(len(board.rows), len(columns)),
        collapsing=verdicts.collapsing,
        baseline_apart=baseline is not None and verdicts.baseline_apart,
        looks=[],
        looks_over=0,
    )


def _rows(
    rows: Sequence[BoardRow], columns: Sequence[Column], grid: Sequence[list[Cell]], on: Sequence[bool]
) -> list[BoardRow]:
    """`rows` with the cells of `grid`, and with their mean ranks over the columns that are `on`."""
    return [
        msgspec.structs.replace(row, cells=cells, mean_rank=mean_rank)
        for row, cells, mean_rank in zip(rows, grid, aggregated_ranks(columns, grid, on), strict=True)
    ]


def _column(column: Column, target: Target | None) -> Column:
    if target is None:
        return msgspec.structs.replace(column, metric="memory", unit="MiB", higher_is_better=False, digits=0)
    metric = f"{SECONDS_TO}{target.curve} {target.value:.{column.digits}f}"
    return msgspec.structs.replace(column, metric=metric, unit="s", higher_is_better=False)


def _cell(cell: Cell, records: Mapping[str, Record], target: Target | None, devices: Sequence[str]) -> Cell:
    """The costs of the runs that a cell shows; one that is not complete stays so. devices: of its whole column."""
    runs = [records[run] for run in cell.runs if run in records]
    costs = [_seconds(run, target) if target else _memory(run) for run in runs]
    if without := costs.count(None):
        note = f"{without} of {len(costs)} records hold no cost"
        return Cell(status="missing", n_planned=cell.n_planned, n_failed=cell.n_failed, notes=[note])
    reached = [cost if cost is not None and math.isfinite(cost) else None for cost in costs]
    sample = sampled(reached, [run.seed for run in runs], cell.n_planned, cell.n_failed)
    never = reached.count(None)
    notes = [f"{never} of {cell.n_planned} seeds never reached the target"] if never else []
    if cell.status in ("incomplete", "missing"):
        notes.append(f"{len(runs)} of {cell.n_planned} seeds done; not ranked")
    notes += _device_notes(_devices(records, cell.runs), devices)
    return msgspec.structs.replace(
        sample,
        setting=cell.setting,
        hyperparameters=cell.hyperparameters,
        settings_tried=cell.settings_tried,
        edges=cell.edges,
        chosen=cell.chosen,
        runs=[run.id for run in runs],
        notes=notes,
    )


def _devices(records: Mapping[str, Record], runs: Iterable[str]) -> list[str]:
    """The devices that `runs` were measured on, each once."""
    return list(dict.fromkeys(str(_at(records[run], "machine", "device")) for run in runs if run in records))


def _device_notes(devices: Sequence[str], of_column: Sequence[str]) -> list[str]:
    """What stands beside a cell whose costs do not compare with each other, or with those of other rows."""
    if len(devices) > 1:
        return [f"measured on unlike devices: {', '.join(devices)}"]
    others = [device for device in of_column if device not in devices]
    return [f"measured on {devices[0]}, other rows on {', '.join(others)}"] if devices and others else []


def _seconds(record: Record, target: Target) -> float | None:
    """Seconds of updates until `record` first measures the target, infinite if never; None without a cost."""
    per_update = number(_at(record, "cost", "seconds_per_update"))
    if per_update is None:
        return None
    points = values(record, target.curve)
    last = max(points, default=0.0)
    reached = time_to_target(points.items(), target.value, target.higher_is_better)
    return reached / last * record.updates * per_update if last > 0 and math.isfinite(reached) else math.inf


def _memory(record: Record) -> float | None:
    gpu = number(_at(record, "cost", "peak_gpu_memory_mb"))
    return gpu if gpu is not None else number(_at(record, "machine", "peak_rss_mb"))


def _at(record: Record, part: str, key: str) -> Any:
    """`provenance[part][key]`; None if there is none: a provenance may hold anything."""
    held = record.provenance.get(part)
    return held.get(key) if isinstance(held, Mapping) else None
