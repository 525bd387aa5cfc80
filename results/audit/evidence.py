"""What an audit looks at, read once from a store: every plan ever made, every record, and how each run ended."""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Callable

import msgspec

from optathlon.results.board.report_runs import free_reports
from optathlon.results.errors import StoreError
from optathlon.results.plan import Plan, PlannedRun
from optathlon.results.record import Record
from optathlon.results.store.run_state import State
from optathlon.results.store.store import Store

LOSS = "train/loss"
_CLOSE = 1e-6


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What a record's curves say of its other parts."""

    digest: str | None
    """Of the points of all its losses; None where there are too few to tell two runs apart."""
    off_curve: list[str]
    """Scores that were measured while training, and are none of the values measured."""
    lost: bool
    """Whether the last training loss is no number."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All of a store that an audit judges. The checks are pure functions of it."""

    plans: dict[str, list[Plan]]
    """By sweep, every plan that it had, oldest first; the last is the one that is shown."""
    records: dict[str, Record]
    """By id, without curves, with their whole provenance."""
    courses: dict[str, Course]
    """By id of a record."""
    states: dict[str, State]
    """Of planned runs without a record."""
    ended_diverged: frozenset[str]
    """Runs whose last attempt said that it diverged."""
    forgotten: frozenset[str]
    """Runs of which `optathlon forget` moved something away."""
    altered_records: frozenset[str]
    """Records whose id is not that of their problem, setting and seed."""
    altered_plans: dict[str, list[int]]
    """By sweep, the numbers of the plans that do not have their digest."""
    missing_plans: dict[str, list[int]]
    """By sweep, the numbers that no plan has although a later one is there."""
    problems: list[str]
    """What could not be read."""

    def shown(self, sweep: str) -> Plan:
        """The plan whose board is shown: the newest."""
        return self.plans[sweep][-1]

    def reported(self, plan: Plan) -> list[PlannedRun]:
        """The report runs of `plan` that may be run: of cells with tuning, those of what was chosen."""
        failed = {run for run, state in self.states.items() if state.kind == "failed"}
        return free_reports(plan, [self.records[run.id] for run in plan.runs if run.id in self.records], failed)


def collect(store: Store, record_id: Callable[[Record], str], plan_digest: Callable[[bytes], str]) -> Evidence:
    """Read `store`.

    record_id: the id that the contents of a record ask for; plan_digest: the digest that those of a plan's file do.
    """
    plans: dict[str, list[Plan]] = {}
    altered_plans: dict[str, list[int]] = {}
    missing_plans: dict[str, list[int]] = {}
    problems: list[str] = []
    for name in store.plan_names():
        numbers = store.plan_numbers(name)
        if missing := sorted(set(range(1, numbers[-1])).difference(numbers)):
            missing_plans[name] = missing
        for number in numbers:
            try:
                plan = store.plan(name, number)
            except StoreError as error:
                problems.append(str(error))
                continue
            plans.setdefault(name, []).append(plan)
            if plan_digest(store.plan_file(name, number)[0]) != plan.head.digest:
                altered_plans.setdefault(name, []).append(number)
    records, courses, altered = {}, {}, set()
    for record, _ in store.written():
        courses[record.id] = _course(record)
        if record_id(record) != record.id:
            altered.add(record.id)
        records[record.id] = msgspec.structs.replace(record, curve=msgspec.structs.replace(record.curve, points={}))
    planned = {run.id for of_sweep in plans.values() for plan in of_sweep for run in plan.runs}
    return Evidence(
        plans=plans,
        records=records,
        courses=courses,
        states=store.states(planned - records.keys()),
        ended_diverged=frozenset(run for run in records if _diverged(store, run)),
        forgotten=frozenset(store.forgotten()),
        altered_records=frozenset(altered),
        altered_plans=altered_plans,
        missing_plans=missing_plans,
        problems=[*problems, *store.problems],
    )


def _diverged(store: Store, run_id: str) -> bool:
    endings = store.endings(run_id)
    return bool(endings) and endings[max(endings)].kind == "diverged"


def _course(record: Record) -> Course:
    points = record.curve.points
    losses = {name: values for name, values in points.items() if name.startswith("train/")}
    varied = any(len({value for _, value in values}) > 2 for values in losses.values())
    last = points.get(LOSS, [])
    return Course(
        digest=hashlib.sha256(msgspec.json.encode(losses)).hexdigest() if varied else None,
        off_curve=[s.name for s in record.scores if s.value is not None and _is_off(s.value, points.get(s.name, []))],
        lost=bool(last) and not _is_number(last[-1][1]),
    )


def _is_off(score: float, points: list[tuple[float, float | None]]) -> bool:
    """Whether `score` is none of the values of its own curve, if that was measured."""
    values = [value for _, value in points if value is not None]
    return bool(values) and not any(math.isclose(score, v, rel_tol=_CLOSE, abs_tol=_CLOSE) for v in values)


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def moment(text: object) -> datetime.datetime | None:
    """Returns the time that `text` tells, by UTC where it names no zone; None if it tells none."""
    try:
        told = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=datetime.UTC)
