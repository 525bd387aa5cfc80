"""The expanded sweep: every run with its role, row and column, and how its board is laid out."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from optathlon.results.record import SCHEMA


class PlannedRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a plan. row and column name the cell; problem and setting are digests into the plan's head."""

    id: str
    problem: str
    setting: str
    seed: int
    role: Literal["tune", "report"]
    row: str
    column: str


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One problem of a plan. label: its name on the board (with data edition and scale where they matter)."""

    name: str
    label: str
    problem: str
    metric: str
    unit: str
    higher_is_better: bool
    selection: str | None
    selection_higher_is_better: bool | None
    digits: int = 2


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One optimizer of a plan (all its settings are candidates), or one setting where nothing is selected.
    notes: what makes it differ, such as a protocol of its own."""

    name: str
    optimizer: str
    notes: list[str] = []


class TableColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a printed table: one score of the plan's columns `of`; of several, their mean, taken seed by seed."""

    label: str
    of: list[str]
    metric: str
    unit: str
    higher_is_better: bool
    digits: int


class TableRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a printed table: the plan's row of that name, under a label."""

    label: str
    row: str


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """How a sweep's results are laid out for printing."""

    columns: list[TableColumn]
    rows: list[TableRow]


class PlanHead(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a plan. problems, settings: what the digests in the lines stand for. table: left out where the
    sweep has none."""

    name: str
    scale: str
    created: str
    digest: str
    baseline: str | None
    columns: list[Column]
    rows: list[Row]
    problems: dict[str, dict[str, Any]]
    settings: dict[str, dict[str, Any]]
    table: Table | msgspec.UnsetType = msgspec.UNSET
    schema: int = SCHEMA


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The expanded sweep, immutable."""

    head: PlanHead
    runs: list[PlannedRun]
