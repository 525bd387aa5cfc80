"""What a page is made of: a board and whatever stands behind it, with names for the places on the page."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from optathlon.results.analysis import learning_curves
from optathlon.results.analysis.seeds_needed import Need, needs
from optathlon.results.analysis.tuning import Budget, budgets
from optathlon.results.board.cell import Cell
from optathlon.results.board.model import Leaderboard
from optathlon.results.board.row import BoardRow
from optathlon.results.board.selection import Winner
from optathlon.results.papers.ledger import Entry
from optathlon.results.plan import Column, Plan, PlanHead, PlannedRun, Row
from optathlon.results.plots.style import looks
from optathlon.results.record import Record
from optathlon.results.sweep_results import SweepResults


class Again(msgspec.Struct, frozen=True):
    """What carries out runs of one setting again."""

    command: str
    """Of the first of them."""
    other_seeds: list[int]
    """Those of the others, whose commands differ in nothing else."""


class Report:
    """A sweep's results, the curves of the runs that its board shows, its ledger entries and what could not be read.

    whole: records by id, with their curves and provenance. printed: the board as the sweep's [table] lays it out, if it
    has one. highlight: rows that are always in color. commands: by row and column, what carries out the runs of a cell
    again. command: what writes the page again. code: version, commit and tree of the suite that writes it.
    """

    def __init__(
        self,
        results: SweepResults,
        whole: Mapping[str, Record],
        *,
        entries: Sequence[Entry] = (),
        printed: Leaderboard | None = None,
        problems: Sequence[str] = (),
        highlight: Collection[str] = (),
        commands: Mapping[tuple[str, str], Sequence[Again]] = MappingProxyType({}),
        command: str = "",
        code: Mapping[str, Any] | None = None,
    ) -> None:
        self.results = results
        self.board = results.board
        self.plan = results.plan
        self.whole = whole
        self.entries = entries
        self.printed = printed
        self.problems = problems
        self.highlight = highlight
        self.commands = commands
        self.command = command
        self.code = code or {}

    @functools.cached_property
    def rows(self) -> list[BoardRow]:
        """The board's rows, best mean rank first; those without one, which have no aggregate, after them."""
        return sorted(self.board.rows, key=lambda row: (row.mean_rank is None, row.mean_rank or 0.0))

    @functools.cached_property
    def colors(self) -> dict[str, int]:
        """The number of the color of each row that has one, 0 for the baseline."""
        styles = looks(self.board, highlight=self.highlight)
        return {name: look.number for name, look in styles.items() if look.number is not None}

    @functools.cached_property
    def anchors(self) -> dict[str, str]:
        """The id of each task's section, by the column's name."""
        ids: dict[str, str] = {}
        for column in self.board.columns:
            slug = re.sub("[^a-z0-9]+", "-", column.name.lower()).strip("-") or "task"
            anchor, number = f"task-{slug}", 1
            while anchor in ids.values():
                anchor, number = f"task-{slug}-{number + 1}", number + 1
            ids[column.name] = anchor
        return ids

    def anchor(self, row: str, column: str) -> str:
        """The id of a cell's line in its task's section."""
        return f"t{list(self.anchors).index(column) + 1}-{self.number[row]}"

    @functools.cached_property
    def number(self) -> dict[str, int]:
        """A number for each row, by which the parts of the page that are about it are found."""
        return {row.name: i for i, row in enumerate(self.board.rows, start=1)}

    @functools.cached_property
    def planned(self) -> list[int]:
        """The numbers of seeds that cells are planned with: one, unless they differ."""
        return sorted({c.n_planned for row in self.board.rows for c in row.cells if c.n_planned})

    def cells(self, column: Column) -> list[tuple[BoardRow, Cell]]:
        """The rows, as ordered on the page, with their cells in `column`."""
        at = self.board.columns.index(column)
        return [(row, row.cells[at]) for row in self.rows]

    def shown(self, cell: Cell) -> list[Record]:
        """The records of a cell's runs."""
        return [self.whole[run] for run in cell.runs if run in self.whole]

    @functools.cached_property
    def winners(self) -> Mapping[tuple[str, str], Winner]:
        """What was chosen in each cell that tuned, by row and column."""
        return self.results.winners

    @functools.cached_property
    def budgets(self) -> dict[str, list[Budget]]:
        """The tuning budgets of each task, by the column's label."""
        by_task: dict[str, list[Budget]] = {}
        for budget in budgets(self.results):
            by_task.setdefault(budget.task, []).append(budget)
        return by_task

    @functools.cached_property
    def needs(self) -> dict[tuple[str, str], Need]:
        """The planner's word on each comparison with the baseline, by row and column label."""
        return {(need.row, need.task): need for need in needs(self.board)}

    @functools.cached_property
    def published(self) -> dict[tuple[str, str], list[Entry]]:
        """The ledger's entries that stand beside a cell, by row and task."""
        by_cell: dict[tuple[str, str], list[Entry]] = {}
        for entry in self.entries:
            if entry.row:
                by_cell.setdefault((entry.row, entry.published.task), []).append(entry)
        return by_cell

    def problem(self, column: Column) -> Mapping[str, Any]:
        """The problem of `column`."""
        return self.plan.head.problems.get(column.problem, {})

    def beside(self, row: str, column: Column) -> list[Entry]:
        """The published numbers beside a cell that are of the metric shown, or, if there are none, all of them."""
        entries = self.published.get((row, str(self.problem(column).get("task", column.name))), [])
        same = [e for e in entries if f"test/{e.published.metric}" == column.metric]
        return same or entries

    def curves(self, column: Column, name: str) -> dict[str, dict[int, dict[float, float]]]:
        """For each row of `column` in which a run has it, the curve `name` by seed."""
        by_row = {}
        for row, cell in self.cells(column):
            by_seed = {record.seed: learning_curves.values(record, name) for record in self.shown(cell)}
            if any(by_seed.values()):
                by_row[row.name] = by_seed
        return by_row


def results_of_records(board: Leaderboard, records: Sequence[Record]) -> SweepResults:
    """The results of a board of `records` that no plan names."""
    by_id = {record.id: record for record in records}
    head = PlanHead(
        name=board.name,
        scale=board.scale,
        created="",
        digest="",
        baseline=None,
        columns=board.columns,
        rows=[Row(name=row.name, optimizer=row.optimizer) for row in board.rows],
        problems={r.digests.problem: r.problem for r in records},
        settings={r.digests.setting: r.setting for r in records},
    )
    runs = [
        PlannedRun(
            id=run,
            problem=by_id[run].digests.problem,
            setting=by_id[run].digests.setting,
            seed=by_id[run].seed,
            role="report",
            row=row.name,
            column=column.name,
        )
        for row in board.rows
        for column, cell in zip(board.columns, row.cells, strict=True)
        for run in cell.runs
    ]
    return SweepResults(plan=Plan(head=head, runs=runs), records=by_id, states={}, board=board)
