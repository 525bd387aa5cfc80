"""What there is to look at: a plan, what came of it, and its board."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from optathlon.results.board.build import leaderboard
from optathlon.results.board.curve_scores import curve_columns, with_curve_scores
from optathlon.results.board.model import Leaderboard
from optathlon.results.board.plan_part import PlanPart
from optathlon.results.board.selection import Winner, winners
from optathlon.results.collector import without_collection
from optathlon.results.plan import Plan
from optathlon.results.record import Record
from optathlon.results.references import References
from optathlon.results.store.run_state import State
from optathlon.results.store.store import Store


class SweepResults(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A sweep's plan with all that came out of it."""

    plan: Plan
    records: Mapping[str, Record]
    """By id, without curves, and of their provenance the attempt and the tree of the code."""
    states: Mapping[str, State]
    """Of the runs without a record, by id."""
    board: Leaderboard
    references: Mapping[str, References] = {}
    """Of the plan's problems, by digest."""

    # Kept, as analyses ask for it once per column and row.
    @functools.cached_property
    def winners(self) -> Mapping[tuple[str, str], Winner]:
        """What is chosen in each cell (row, column) that has tuning runs."""
        failed = {run for run, state in self.states.items() if state.kind == "failed"}
        return winners(self.plan, self.records, failed)

    def printed(self) -> Leaderboard | None:
        """The board as the sweep's [table] lays it out; None if it has none."""
        if self.plan.head.table is msgspec.UNSET:
            return None
        return leaderboard(self.plan, self.records, self.states, printed=True, references=self.references)


def load_results(
    store: Store,
    plan: Plan,
    *,
    on: Sequence[str] | Literal["common"] | None = None,
    printed: bool = False,
    part: PlanPart | None = None,
) -> SweepResults:
    """`plan` with the records of `store`, their board and its references; what could not be read is in the store's
    `problems`.

    on, printed, part: as `leaderboard` takes them; of a part, plan and records are the part's.
    """
    with without_collection():
        return _loaded(store, plan, on, printed, part)


def _loaded(
    store: Store, plan: Plan, on: Sequence[str] | Literal["common"] | None, printed: bool, part: PlanPart | None
) -> SweepResults:
    ids = [run.id for run in plan.runs]
    records = _records(store, plan, ids)
    states = store.states([] if len(records) == len(ids) else [run for run in ids if run not in records])
    references = store.references(column.problem for column in plan.head.columns)
    board = leaderboard(plan, records, states, on=on, printed=printed, part=part, references=references)
    if part is not None:
        plan = part.cut_from(plan)
        shown = {run.id for run in plan.runs}
        records = {i: record for i, record in records.items() if i in shown}
        states = {i: state for i, state in states.items() if i in shown}
    return SweepResults(plan=plan, records=records, states=states, board=board, references=references)


def _records(store: Store, plan: Plan, ids: Sequence[str]) -> Mapping[str, Record]:
    """The records of the runs `ids` of `plan` without curves, with the scores that its [table] takes from curves."""
    if columns := curve_columns(plan.head.table):
        return with_curve_scores(store.records(ids, curves=True), columns)
    return store.records_by_id(ids, brief=True)


def shown_curves(store: Store, board: Leaderboard) -> dict[str, Record]:
    """The records of the runs that the cells of `board` show, by id, with the points of their curves."""
    ids = dict.fromkeys(run for row in board.rows for cell in row.cells for run in cell.runs)
    return {record.id: record for record in store.records(ids, curves=True)}
