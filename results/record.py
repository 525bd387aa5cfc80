"""What is written down of a run: the plan it stands in, each start of it, and its immutable outcome."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SCHEMA = 1


class Score(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A metric as recorded, "test/accuracy"; `value` is None where the run diverged before it could be measured."""

    name: str
    unit: str
    higher_is_better: bool
    value: float | None


class Identity(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """SHA-256 of the canonical JSON of a run's problem and setting; its id is 16 hex digits over both and the seed."""

    problem: str
    setting: str


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Points (time in the protocol's unit, value), one list for each "train/loss", "validation/accuracy"; no clock."""

    unit: str
    points: dict[str, list[tuple[float, float | None]]]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One finished or diverged run. Everything but `provenance` is a function of problem, setting and seed.

    problem, setting: what the digests were taken of. headline, selection: names of the scores that rank and select.
    provenance: host, devices, times, versions, commit, tree, attempt, peak memory.
    """

    id: str
    digests: Identity
    problem: dict[str, Any]
    setting: dict[str, Any]
    seed: int
    status: Literal["finished", "diverged"]
    scores: list[Score]
    headline: str
    selection: str | None
    updates: int
    diverged_at: int | None = None
    weights: str | None = None
    curve: Curve
    provenance: dict[str, Any] = {}
    schema: int = SCHEMA


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who started an attempt. job: the scheduler's name of the job. restart: how often that job was restarted."""

    host: str
    boot: str
    pid_namespace: str
    pid: int
    started: str
    job: str | None = None
    restart: int = 0
    user: str = ""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a run: creating its file is the claim."""

    run: str
    number: int
    owner: Owner
    created: str
    schema: int = SCHEMA


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended; "stopped" will go on. moved: it advanced the checkpoint. failure: the class of what it
    failed by, a word that whoever ran it chose."""

    run: str
    number: int
    kind: Literal["finished", "diverged", "stopped", "failed", "fenced"]
    reason: str = ""
    trace: str = ""
    failure: str = ""
    moved: bool = False
    ended: str = ""
    schema: int = SCHEMA


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
