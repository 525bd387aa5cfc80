"""The shapes of allocation that a sweep's workers need, and which of its runs each is for."""

from __future__ import annotations

from typing import Any

from optathlon.results.plan import Plan
from optathlon.suite.errors import UsageError
from optathlon.suite.launching.slurm_orders import Shape
from optathlon.suite.planning import cluster_settings
from optathlon.suite.planning.cluster_settings import Settings, Table
from optathlon.suite.planning.plan import labels_of_rows
from optathlon.suite.planning.scope import Scope
from optathlon.suite.planning.sweep import Entry, Sweep


class ClusterLayers:
    """What says how workers are submitted, each counting over the one before: the user's file, the sweep, a task of it,
    an optimizer of it, the command line. UsageError for what cannot fit together."""

    def __init__(self, sweep: Sweep, command_line: Table, data_workers: int = 0) -> None:
        """data_workers: processes per run that load data."""
        self.sweep, self.command_line, self.data_workers = sweep, command_line, data_workers
        self.below = [cluster_settings.user_table(), sweep.cluster]

    def settings(self, *of_part: Table) -> Settings:
        """Returns the settings of the part of the sweep that `of_part` are for, or of the whole sweep."""
        return cluster_settings.settings([*self.below, *of_part, self.command_line], self.data_workers)

    def shapes(self, plan: Plan) -> list[Shape]:
        """Returns the shapes that the cells of `plan`, one of the sweep's, need.

        Workers are told tasks and rows. Cells with equal settings that are no rectangle of the board, all rows of one
        task and a single row of another, are therefore several shapes.
        """
        cells_by_settings: list[tuple[Settings, dict[str, set[str]]]] = []
        rows = self._rows(plan)
        for task in self.sweep.tasks:
            for entry, of_entry in rows:
                settings = self._of_cell(task.name, entry)
                # Settings hold a mapping, so they cannot be keys of a dict.
                cells = next((cells for known, cells in cells_by_settings if known == settings), None)
                if cells is None:
                    cells_by_settings.append((settings, cells := {}))
                cells.setdefault(task.name, set()).update(of_entry)
        everything = {row.name for row in plan.head.rows}
        return [(settings, scope) for settings, cells in cells_by_settings for scope in _rectangles(cells, everything)]

    def _rows(self, plan: Plan) -> list[tuple[Entry | None, list[str]]]:
        """The rows of `plan` by the block that says what their workers are given; None: no block does."""
        special = {entry.label: entry for entry in self.sweep.entries if entry.cluster}
        labels: dict[str, str] = labels_of_rows(self.sweep) if special else {}
        grouped: dict[str | None, list[str]] = {}
        for row in plan.head.rows:
            label = labels.get(row.name)
            grouped.setdefault(label if label in special else None, []).append(row.name)
        return [(None if label is None else special[label], rows) for label, rows in grouped.items()]

    def _of_cell(self, task: str, entry: Entry | None) -> Settings:
        of_task: dict[str, Any] = self.sweep.override.get(task, {}).get("cluster", {})
        if entry is None:
            return self.settings(of_task)
        try:
            return self.settings(of_task, entry.cluster)
        except UsageError as error:
            raise UsageError(f"{entry.where}: on {task}: {error}") from None


def _rectangles(cells: dict[str, set[str]], everything: set[str]) -> list[Scope]:
    """Returns `cells`, the rows of each task, as rectangles; one of all rows of the plan, `everything`, names none."""
    by_rows: dict[frozenset[str], set[str]] = {}
    for task, rows in cells.items():
        by_rows.setdefault(frozenset(() if rows == everything else rows), set()).add(task)
    return [Scope(frozenset(tasks), rows) for rows, tasks in by_rows.items()]
