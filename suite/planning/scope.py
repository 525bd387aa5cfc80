"""Which runs of a plan the workers of one shape of allocation take: those of some tasks and rows."""

from __future__ import annotations

from dataclasses import dataclass

from optathlon.results.plan import PlannedRun


@dataclass(frozen=True)
class Scope:
    """A rectangle of a plan's cells, each of its tasks with each of its rows; of all tasks or rows where none is
    named."""

    tasks: frozenset[str] = frozenset()
    rows: frozenset[str] = frozenset()

    def covers(self, run: PlannedRun) -> bool:
        """Whether `run` is one of these."""
        return self.has_cell(run.row, run.column)

    def has_cell(self, row: str, task: str) -> bool:
        """Whether the runs of `row` on `task` are among these."""
        return (not self.tasks or task in self.tasks) and (not self.rows or row in self.rows)

    def meets(self, other: Scope) -> bool:
        """Whether some cell is in both."""
        pairs = ((self.tasks, other.tasks), (self.rows, other.rows))
        return all(not mine or not theirs or mine & theirs for mine, theirs in pairs)


ALL = Scope()
