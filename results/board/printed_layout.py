"""The [table] of a sweep: its rows and columns as they are printed, with means over tasks taken seed by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.cells import Cells, sampled
from optathlon.results.plan import Column, Row, Table, TableColumn


def lay_out(
    table: Table, rows: Sequence[Row], cells: Cells
) -> tuple[list[Column], list[tuple[str, Row]], list[list[Cell]]]:
    """The columns of `table`, its rows with their labels, and the cells of each row in the columns' order."""
    columns = [_column(column, cells, table.columns) for column in table.columns]
    by_name = {row.name: row for row in rows}
    named = [(line.label, by_name[line.row]) for line in table.rows]
    grid = [
        [_cell(row.name, column, printed, cells) for column, printed in zip(columns, table.columns, strict=True)]
        for _, row in named
    ]
    return columns, named, grid


def _column(column: TableColumn, cells: Cells, beside: Sequence[TableColumn]) -> Column:
    one = len(column.of) == 1
    alone = sum(other.of == column.of for other in beside) == 1
    return Column(
        name=column.label if not one else column.of[0] if alone else f"{column.of[0]} {column.metric}",
        label=column.label,
        problem=cells.columns[column.of[0]].problem if one else "",
        metric=column.metric,
        unit=column.unit,
        higher_is_better=column.higher_is_better,
        selection=None,
        selection_higher_is_better=None,
        digits=column.digits,
    )


def _cell(row: str, column: Column, printed: TableColumn, cells: Cells) -> Cell:
    parts = [cells.cell(row, column, of) for of in printed.of]
    if len(parts) == 1:
        return parts[0]
    planned = [{run.seed for run in cells.planned(row, of)} for of in printed.of]
    seeds = sorted(set.intersection(*planned))
    of_seed = [dict(zip(part.seeds, part.values, strict=True)) for part in parts]
    done = [seed for seed in seeds if all(seed in values for values in of_seed)]
    means = [_mean([values[seed] for values in of_seed]) for seed in done]
    most = max(map(len, planned))
    n_failed = min(len(seeds) - len(done), sum(part.n_failed for part in parts))
    found = sampled(means, done, len(seeds), n_failed)
    faults = list(dict.fromkeys(fault for part in parts for fault in part.faults))
    fewer = [f"over the {len(seeds)} of {most} seeds that all its tasks have"] if 0 < len(seeds) < most else []
    return msgspec.structs.replace(
        found, runs=[run for part in parts for run in part.runs], notes=[*found.notes, *fewer, *faults], faults=faults
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """None if one is: a mean over fewer tasks is another number."""
    finite = [v for v in values if v is not None]
    return math.fsum(finite) / len(finite) if len(finite) == len(values) else None
