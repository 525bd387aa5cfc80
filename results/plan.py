"""The expanded sweep: every run with its role, row and column, and how its board is laid out."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from typing import Annotated, Any, Literal

import msgspec

from optathlon.results.record import SCHEMA, Int64, check_problem, check_setting

Digits = Annotated[int, msgspec.Meta(ge=0, le=15)]
"""Decimals that a number is printed with."""


class PlannedRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a plan. row and column name the cell; problem and setting are digests into the plan's head."""

    id: str
    problem: str
    setting: str
    seed: Int64
    role: Literal["tune", "report"]
    row: str
    column: str


SECONDS_TO = "seconds to "
"""How the metric of a time to a target begins: "seconds to validation/accuracy 70.00"."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One problem of a plan."""

    name: str
    label: str
    """Its name on the board, with data edition and scale where they matter."""
    problem: str
    """Its digest."""
    metric: str
    """The score that ranks, "test/accuracy"."""
    unit: str
    higher_is_better: bool
    selection: str | None
    """The score by which settings are chosen; None where none are."""
    selection_higher_is_better: bool | None
    digits: Digits = 2

    @property
    def without_value(self) -> str:
        """What is said of a cell none of whose seeds has a value: of a time to a target, that it was never reached."""
        return "never" if self.metric.startswith(SECONDS_TO) else "diverged"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One optimizer of a plan, whose settings are all candidates; where nothing is selected, one setting."""

    name: str
    optimizer: str
    notes: list[str] = []
    """What makes it differ, such as a protocol of its own."""


class TableCurve(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a curve that a run recorded."""

    name: str
    """Its name; {delta} in it stands for the hyperparameter of that name."""
    at: float | Literal["last", "mean"]
    """The time of the point, or of the first after it; or the last of all; or the mean over all."""
    factor: float
    """What it is multiplied with, as 100 for percent."""


class TableColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a printed table: one score of the plan's columns `of`; of several, their mean, taken seed by seed."""

    label: str
    of: list[str]
    metric: str
    unit: str
    higher_is_better: bool
    digits: Digits
    curve: TableCurve | msgspec.UnsetType = msgspec.UNSET
    """What the score is taken from, where it is none that a run recorded as such."""


class TableRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a printed table: the plan's row of that name, under a label."""

    label: str
    row: str


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """How a sweep's results are laid out for printing."""

    columns: list[TableColumn]
    rows: list[TableRow]
    across: Literal["tasks", "optimizers"] | msgspec.UnsetType = msgspec.UNSET
    """What stands side by side, in columns; left out: tasks."""
    published: str | msgspec.UnsetType = msgspec.UNSET
    """The table of a paper whose numbers are printed beside: "AdamP Table 2, H.1"."""


class TuningSeeds(msgspec.Struct, frozen=True, kw_only=True):
    """The tuning seeds that choose the setting of one report seed."""

    report: Int64
    tune: list[Int64]


class PlanHead(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a plan. What a sweep does not ask for is left out, so that digests of older plans stay."""

    name: str
    scale: str
    created: str
    digest: str
    baseline: str | None
    columns: list[Column]
    rows: list[Row]
    problems: dict[str, dict[str, Any]]
    """What the digests in the lines stand for, like `settings`."""
    settings: dict[str, dict[str, Any]]
    table: Table | msgspec.UnsetType = msgspec.UNSET
    tuning: list[TuningSeeds] | msgspec.UnsetType = msgspec.UNSET
    """One per report seed where each has a winner of its own; left out where one choice serves all seeds."""
    looks: list[int] | msgspec.UnsetType = msgspec.UNSET
    """Numbers of report seeds at which is tested what is not decided yet; left out where all seeds are run at once."""
    schema: int = SCHEMA

    def check(self) -> None:
        """Raise msgspec.ValidationError unless its parts name each other rightly and have what readers look at."""
        for problem in self.problems.values():
            check_problem(problem)
        for setting in self.settings.values():
            check_setting(setting)
        rows, columns = {row.name for row in self.rows}, {column.name for column in self.columns}
        _known("baseline", {self.baseline} - {None}, rows)
        _known("problem", {column.problem for column in self.columns}, self.problems.keys())
        if self.table is not msgspec.UNSET:
            _known("table row", {line.row for line in self.table.rows}, rows)
            _known("table column", {name for column in self.table.columns for name in column.of}, columns)
            if not all(column.of for column in self.table.columns):
                raise msgspec.ValidationError("a table column is of no column of the plan")
        if self.looks is not msgspec.UNSET and not _rising(self.looks):
            raise msgspec.ValidationError(f"looks {self.looks} do not rise from 2 seeds or more")


def _rising(looks: list[int]) -> bool:
    return bool(looks) and looks[0] >= 2 and all(a < b for a, b in itertools.pairwise(looks))


def _known(what: str, names: Collection[str | None], known: Collection[str]) -> None:
    if unknown := sorted(str(name) for name in names if name not in known):
        raise msgspec.ValidationError(f"{what} {unknown[0]!r} is not in the plan")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The expanded sweep, immutable."""

    head: PlanHead
    runs: list[PlannedRun]


def label_marks(label: str) -> str:
    """Returns what `column_label` puts behind a task's name: " [smoke, miniature-1]", or "" at paper scale on official
    data."""
    return label[start:] if label.endswith("]") and (start := label.rfind(" [")) >= 0 else ""


def column_label(task: str, scale: str, editions: Iterable[str]) -> str:
    """Names a column: the task, with scale and data editions in brackets where they are not the paper's and official.

    So `biased-mnist-0.990 [smoke, miniature-1]`.
    """
    marks = [scale] if scale != "paper" else []
    marks += [edition for edition in editions if edition != "official"]
    return f"{task} [{', '.join(marks)}]" if marks else task
