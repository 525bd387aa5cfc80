"""A sub-plan: some tasks and rows of a plan. Ranks and corrections are recomputed for it."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from optathlon.results.plan import Plan


def part(plan: Plan, columns: Collection[str], rows: Collection[str]) -> Plan:
    """`plan` with only these columns and rows, by name. Cells are the same; ranks and corrections are of the part."""
    head = msgspec.structs.replace(
        plan.head,
        columns=[column for column in plan.head.columns if column.name in columns],
        rows=[row for row in plan.head.rows if row.name in rows],
        table=msgspec.UNSET,
    )
    return Plan(head=head, runs=[run for run in plan.runs if run.column in columns and run.row in rows])
