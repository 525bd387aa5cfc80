"""A printed table with the numbers of the paper's table in its cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from optathlon.results.board.cell import PaperNumber
from optathlon.results.board.model import Leaderboard
from optathlon.results.papers.published import Published, averaged_tasks
from optathlon.results.plan import Plan, TableColumn
from optathlon.results.record import flat


def with_published(board: Leaderboard, plan: Plan, numbers: Sequence[Published]) -> Leaderboard:
    """The printed `board` of `plan` with what the paper's table has in each cell, if its [table] names one.

    A number belongs to the rows of its optimizer whose settings have its hyperparameters; where several of them do, to
    those that it names most of.
    """
    table = plan.head.table
    if table is msgspec.UNSET or not table.published:
        return board
    of_table = [number for number in numbers if number.table == table.published]
    placed: list[Published] = []
    rows = []
    for row, line in zip(board.rows, table.rows, strict=True):
        cells = []
        for cell, column in zip(row.cells, table.columns, strict=True):
            settings = _settings(plan, line.row, column)
            here = _numbers(of_table, row.optimizer, column, settings, paper=plan.head.scale == "paper")
            placed += here
            shown = [PaperNumber(mean=n.mean, std=n.std, note=n.note) for n in here]
            cells.append(msgspec.structs.replace(cell, published=shown))
        rows.append(msgspec.structs.replace(row, cells=cells))
    shown = {(column.of[0], column.metric.rpartition("/")[2]) for column in table.columns}
    left = [number for number in of_table if number not in placed and (number.task, number.metric) in shown]
    words = [_in_words(number) for number in left]
    return msgspec.structs.replace(board, rows=rows, published=table.published, only_published=words)


def _settings(plan: Plan, row: str, column: TableColumn) -> list[dict[str, Any]]:
    """What is tried in a cell."""
    tried = {run.setting for run in plan.runs if run.row == row and run.column in column.of}
    return [plan.head.settings[digest] for digest in sorted(tried)]


def _numbers(
    numbers: Sequence[Published],
    optimizer: str,
    column: TableColumn,
    settings: Sequence[dict[str, Any]],
    *,
    paper: bool,
) -> list[Published]:
    fitting = [
        number
        for number in numbers
        if (number.optimizer, number.metric) == (optimizer, column.metric.rpartition("/")[2])
        and sorted(column.of) in ([number.task], averaged_tasks(number, numbers))
        and settings
        and all((number if paper else _at_any_scale(number, setting)).fits(setting) for setting in settings)
    ]
    most = max((len(number.setting) for number in fitting), default=0)
    return [number for number in fitting if len(number.setting) == most]


def _at_any_scale(number: Published, setting: dict[str, Any]) -> Published:
    """`number` with what it says of the protocol, as of 92 epochs, as `setting` says it if it says anything of it."""
    ours = flat(setting.get("protocol", {}), "protocol.")
    of_protocol = {key: ours[key] for key in number.setting if key.startswith("protocol.") and key in ours}
    return msgspec.structs.replace(number, setting=number.setting | of_protocol)


def _in_words(number: Published) -> str:
    note = f" ({number.note})" if number.note else ""
    return f"{number.optimizer} on {number.task}, {number.metric}: {number.mean:g}{note}"
