"""The [table] of a sweep: its rows and columns as they are printed, with means over tasks taken seed by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.cells import Cells, sampled
from optathlon.results.plan import Column, Plan, Table, TableColumn


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What is printed of a plan."""

    rows: list[tuple[str, int]]
    """Labels, and the index of each among the plan's rows."""
    columns: list[Column]
    """As printed."""
    tested: list[Column]
    """Every column that marks are of, the plan's own first."""
    at: list[int]
    """The place in `tested` of each printed column."""
    grid: list[list[Cell]]
    """The cells of all the plan's rows, in the order of `tested`."""


def whole_layout(plan: Plan, cells: Cells) -> Layout:
    """The plan as it is."""
    columns = plan.head.columns
    return Layout(
        rows=[(row.name, i) for i, row in enumerate(plan.head.rows)],
        columns=columns,
        tested=columns,
        at=list(range(len(columns))),
        grid=[[cells.cell(row.name, column) for column in columns] for row in plan.head.rows],
    )


def printed_layout(plan: Plan, table: Table, cells: Cells) -> Layout:
    """The plan as `table` lays it out: its rows with their labels, and beside the plan's own columns the means over
    tasks and other metrics that it asks for, which are tested together with them."""
    whole, number = whole_layout(plan, cells), {row.name: i for i, row in enumerate(plan.head.rows)}
    plan_columns = {(column.name, column.metric): i for i, column in enumerate(plan.head.columns)}
    columns = [_column(column, cells, table.columns) for column in table.columns]
    tested, places, grid = list(whole.tested), [], [list(row) for row in whole.grid]
    for column, printed in zip(columns, table.columns, strict=True):
        known = plan_columns.get((printed.of[0], printed.metric)) if len(printed.of) == 1 else None
        if known is None:
            known = len(tested)
            tested.append(column)
            for row, of_row in zip(plan.head.rows, grid, strict=True):
                of_row.append(_cell(row.name, column, printed, cells))
        places.append(known)
    rows = [(line.label, number[line.row]) for line in table.rows]
    return Layout(rows=rows, columns=columns, tested=tested, at=places, grid=grid)


def _column(column: TableColumn, cells: Cells, beside: Sequence[TableColumn]) -> Column:
    single = len(column.of) == 1
    alone = sum(other.of == column.of for other in beside) == 1
    return Column(
        name=column.label if not single else column.of[0] if alone else f"{column.of[0]} {column.metric}",
        label=column.label,
        problem=cells.columns[column.of[0]].problem if single else "",
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
    averaged = sampled(means, done, len(seeds), n_failed)
    faults = list(dict.fromkeys(fault for part in parts for fault in part.faults))
    fewer = [f"over the {len(seeds)} of {most} seeds that all its tasks have"] if 0 < len(seeds) < most else []
    return msgspec.structs.replace(
        averaged,
        runs=[run for part in parts for run in part.runs],
        notes=[*averaged.notes, *fewer, *faults],
        faults=faults,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """None if one is: a mean over fewer tasks is another number."""
    finite = [v for v in values if v is not None]
    return math.fsum(finite) / len(finite) if len(finite) == len(values) else None
