"""A sub-plan: some tasks and rows of a plan, which are shown alone; what is proven of them is of the whole plan."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from optathlon.results.plan import Plan


class PlanPart(msgspec.Struct, frozen=True, kw_only=True):
    """The columns and rows that are shown, by name."""

    columns: Collection[str]
    rows: Collection[str]

    def cut_from(self, plan: Plan) -> Plan:
        """Returns `plan` with only these columns and rows."""
        head = msgspec.structs.replace(
            plan.head,
            columns=[column for column in plan.head.columns if column.name in self.columns],
            rows=[row for row in plan.head.rows if row.name in self.rows],
            table=msgspec.UNSET,
        )
        runs = [run for run in plan.runs if run.column in self.columns and run.row in self.rows]
        return Plan(head=head, runs=runs)
