"""The [table] of a sweep: which rows and columns are printed, under which labels, and what is averaged over tasks."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from optathlon import tasks
from optathlon.results.board.curve_scores import CURVE_SPLIT
from optathlon.results.papers.published import published
from optathlon.results.plan import Column, Row, Table, TableColumn, TableCurve, TableRow, label_marks
from optathlon.suite.errors import SweepError, hint
from optathlon.suite.planning.sweep import Sweep

KEYS = ("columns", "rows", "digits", "across", "published")
COLUMN_KEYS = ("task", "mean", "metric", "label", "digits")
CURVE_KEYS = ("task", "curve", "at", "metric", "unit", "factor", "higher_is_better", "label", "digits")
"""Of a column whose numbers are taken from a curve."""
ROW_KEYS = ("row", "label")


def table(sweep: Sweep, columns: Sequence[Column], rows: Sequence[Row]) -> Table | msgspec.UnsetType:
    """The layout that `sweep` asks for, of a plan's columns and rows; UNSET if it asks for none.

    SweepError, naming the field, if it names what the plan does not have, or averages what is not alike.
    """
    if not sweep.table:
        return msgspec.UNSET
    return _Reader(sweep, {c.name: c for c in columns}, [row.name for row in rows]).read()


class _Reader:
    def __init__(self, sweep: Sweep, columns: Mapping[str, Column], rows: list[str]) -> None:
        self.file, self.given = sweep.file, sweep.table
        self.columns, self.rows = columns, rows
        self.tasks = {task.name: task for task in sweep.tasks}

    def read(self) -> Table:
        self._only(self.given, KEYS, "table.")
        digits = self._digits(self.given, "table.", 2)
        columns = [self._column(entry, n, digits) for n, entry in enumerate(self._list("columns", list(self.columns)))]
        rows = [self._row(entry, n) for n, entry in enumerate(self._list("rows", self.rows))]
        for what, labels in (("columns", [c.label for c in columns]), ("rows", [r.label for r in rows])):
            if twice := [label for label in labels if labels.count(label) > 1]:
                raise self._error(f"table.{what}: {twice[0]!r} stands twice; give each its own label")
        return Table(columns=columns, rows=rows, across=self._across(), published=self._published())

    def _across(self) -> Literal["optimizers"] | msgspec.UnsetType:
        across = self.given.get("across", "tasks")
        if across not in ("tasks", "optimizers"):
            raise self._error(f'table.across: must be "tasks" or "optimizers", not {across!r}')
        return "optimizers" if across == "optimizers" else msgspec.UNSET

    def _published(self) -> str | msgspec.UnsetType:
        if "published" not in self.given:
            return msgspec.UNSET
        name, known = self.given["published"], dict.fromkeys(number.table for number in published())
        if name not in known:
            raise self._error(f"table.published: {name!r} is no table of published numbers{hint(str(name), known)}")
        return str(name)

    def _column(self, entry: Any, number: int, digits: int) -> TableColumn:
        where = f"table.columns[{number}]"
        entry = {"task": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or ("task" in entry) == ("mean" in entry):
            raise self._error(f'{where}: must be a task, {{task = "..."}} or {{mean = ["...", "..."]}}, not {entry!r}')
        if "curve" in entry:
            return self._curve_column(entry, where, digits)
        self._only(entry, COLUMN_KEYS, f"{where}.")
        task_names = (
            [self._task(entry["task"], f"{where}.task")] if "task" in entry else self._mean(entry["mean"], where)
        )
        named = entry.get("metric", self.tasks[task_names[0]].metrics[0].name)
        metrics = [self._metric(self.tasks[name], named, f"{where}.metric") for name in task_names]
        if len({(metric.unit, metric.higher_is_better) for metric in metrics}) > 1:
            raise self._error(f"{where}.mean: {named} is in another unit or direction on one of the tasks")
        headline = named == self.tasks[task_names[0]].metrics[0].name
        label = "mean" if len(task_names) > 1 else task_names[0] if headline else f"{task_names[0]} {named}"
        return TableColumn(
            label=self._label(entry, where, label) + self._marks(task_names),
            of=task_names,
            metric=f"test/{named}",
            unit=metrics[0].unit,
            higher_is_better=metrics[0].higher_is_better,
            digits=self._digits(entry, f"{where}.", digits),
        )

    def _curve_column(self, entry: Mapping[str, Any], where: str, digits: int) -> TableColumn:
        """A column of numbers that are taken from a curve: `metric` is what they are called."""
        self._only(entry, CURVE_KEYS, f"{where}.")
        name = self._task(entry.get("task"), f"{where}.task")
        for key in ("curve", "metric"):
            if not isinstance(entry.get(key), str) or not entry[key]:
                raise self._error(f"{where}.{key}: must be a name, not {entry.get(key)!r}")
        time, factor = entry.get("at", "last"), entry.get("factor", 1.0)
        higher = entry.get("higher_is_better", False)
        if time not in ("last", "mean") and type(time) not in (int, float):
            raise self._error(f'{where}.at: must be a time, "last" or "mean", not {time!r}')
        if type(factor) not in (int, float):
            raise self._error(f"{where}.factor: must be a number, not {factor!r}")
        if not isinstance(higher, bool) or not isinstance(entry.get("unit", ""), str):
            raise self._error(f"{where}: higher_is_better must be true or false, and unit text")
        return TableColumn(
            label=self._label(entry, where, f"{name} {entry['metric']}") + self._marks([name]),
            of=[name],
            metric=f"{CURVE_SPLIT}/{entry['metric']}",
            unit=entry.get("unit", ""),
            higher_is_better=higher,
            digits=self._digits(entry, f"{where}.", digits),
            curve=TableCurve(
                name=entry["curve"], at=time if time in ("last", "mean") else float(time), factor=float(factor)
            ),
        )

    def _marks(self, task_names: Iterable[str]) -> str:
        """Scale and editions as the columns' labels tell them, which no label of the user's may hide."""
        return "".join(dict.fromkeys(label_marks(self.columns[name].label) for name in task_names))

    def _mean(self, patterns: Any, where: str) -> list[str]:
        if not isinstance(patterns, list) or not patterns:
            raise self._error(f'{where}.mean: must be a list of tasks, ["biased-mnist-*"], not {patterns!r}')
        matching: dict[str, None] = {}
        for pattern in patterns:
            known = isinstance(pattern, str) and fnmatch.filter(self.columns, pattern)
            matching |= dict.fromkeys(known or [self._task(pattern, f"{where}.mean")])
        return list(matching)

    def _task(self, name: Any, where: str) -> str:
        if not isinstance(name, str) or name not in self.columns:
            raise self._error(f"{where}: {name!r} is none of this sweep's tasks{hint(str(name), self.columns)}")
        return name

    def _metric(self, task: tasks.Task, name: Any, where: str) -> tasks.Metric:
        known = {metric.name: metric for metric in task.metrics}
        if not isinstance(name, str) or name not in known:
            raise self._error(f"{where}: {name!r} is none of {task.name}'s metrics{hint(str(name), known)}")
        return known[name]

    def _row(self, entry: Any, number: int) -> TableRow:
        where = f"table.rows[{number}]"
        entry = {"row": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or "row" not in entry:
            raise self._error(f'{where}: must be a row, or {{row = "...", label = "..."}}, not {entry!r}')
        self._only(entry, ROW_KEYS, f"{where}.")
        if entry["row"] not in self.rows:
            settings = [row for row in self.rows if row.startswith(f"{entry['row']} ")]
            near = (
                f" (its settings are rows: {', '.join(settings)})" if settings else hint(str(entry["row"]), self.rows)
            )
            raise self._error(f"{where}.row: there is no row {entry['row']!r}{near}")
        return TableRow(label=self._label(entry, where, entry["row"]), row=entry["row"])

    def _list(self, key: str, default: list[str]) -> list[Any]:
        entries = self.given.get(key, default)
        if not isinstance(entries, list) or not entries:
            raise self._error(f"table.{key}: must be a list with at least one entry, not {entries!r}")
        return entries

    def _label(self, entry: Mapping[str, Any], where: str, default: str) -> str:
        label = entry.get("label", default)
        if not isinstance(label, str) or not label.isprintable() or not label:
            raise self._error(f"{where}.label: must be text on one line, not {label!r}")
        return label

    def _digits(self, entry: Mapping[str, Any], where: str, default: int) -> int:
        digits = entry.get("digits", default)
        if type(digits) is not int or not 0 <= digits <= 10:
            raise self._error(f"{where}digits: must be a whole number from 0 to 10, not {digits!r}")
        return digits

    def _only(self, entry: Mapping[str, Any], known: Iterable[str], where: str) -> None:
        for key in entry:
            if key not in known:
                raise self._error(f"{where}{key}: unknown{hint(key, known)}")

    def _error(self, message: str) -> SweepError:
        return SweepError(f"{self.file}: {message}")
