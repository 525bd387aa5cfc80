"""What an audit looks at, read once from a store: every plan ever made, every record, and how each run ended."""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Callable, Mapping

import msgspec

from optathlon.results.board.cells import Cells
from optathlon.results.board.report_runs import free_reports
from optathlon.results.errors import StoreError
from optathlon.results.plan import Plan, PlannedRun
from optathlon.results.record import Ended, Record, file_digest
from optathlon.results.scores import number as number_of
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
    endings: dict[str, dict[int, Ended]]
    """By run, how its attempts ended, by their numbers."""
    forgotten: frozenset[str]
    """Runs of which `optathlon forget` moved something away."""
    altered_records: frozenset[str]
    """Records whose id is not that of their problem, setting and seed."""
    rewritten_records: frozenset[str]
    """Records whose file is not the one that their attempt wrote."""
    altered_plans: dict[str, list[int]]
    """By sweep, the numbers of the plans that do not have their digest, or another one than when they were launched."""
    missing_plans: dict[str, list[int]]
    """By sweep, the numbers that no plan has although a later one is there, or was launched."""
    problems: list[str]
    """What could not be read."""

    def shown(self, sweep: str) -> Plan:
        """The plan whose board is shown: the newest."""
        return self.plans[sweep][-1]

    @property
    def failed(self) -> frozenset[str]:
        """Runs that failed for good."""
        return frozenset(run for run, state in self.states.items() if state.kind == "failed")

    def reported(self, plan: Plan) -> list[PlannedRun]:
        """The report runs of `plan` that may be run: of cells with tuning those of what was chosen, and in a plan with
        looks those that are asked for by now."""
        return free_reports(plan, self.records_of(plan), self.failed)

    def chosen(self, plan: Plan) -> list[PlannedRun]:
        """The report runs of what was chosen, whatever looks ask for."""
        cells = Cells(plan, self.records_of(plan), self.failed)
        return [run for row in plan.head.rows for c in plan.head.columns for run in cells.planned(row.name, c.name)]

    def records_of(self, plan: Plan) -> list[Record]:
        """The records of the runs of `plan`, each once."""
        ids = dict.fromkeys(run.id for run in plan.runs)
        return [self.records[run] for run in ids if run in self.records]

    def last_ending(self, run: str) -> str:
        """How the last attempt of a run that ended did so: "finished", "diverged" and so on; empty if none has."""
        endings = self.endings.get(run)
        return endings[max(endings)].kind if endings else ""

    def earlier_outcomes(self, run: str) -> list[Ended]:
        """The ends of attempts that came to an outcome which is no longer there, or has given way to a later one."""
        record = self.records.get(run)
        own = number_of(record.provenance.get("attempt")) if record else math.inf
        ends = self.endings.get(run, {}).items()
        return [e for number, e in ends if e.kind in ("finished", "diverged") and own is not None and number < own]


def collect(store: Store, record_id: Callable[[Record], str], plan_digest: Callable[[bytes], str]) -> Evidence:
    """Read `store`.

    record_id: the id that the contents of a record ask for; plan_digest: the digest that those of a plan's file do.
    """
    plans: dict[str, list[Plan]] = {}
    altered_plans: dict[str, list[int]] = {}
    missing_plans: dict[str, list[int]] = {}
    problems: list[str] = []
    for name in store.plan_names():
        numbers, launched = store.plan_numbers(name), _launched(store, name)
        if missing := sorted(set(range(1, max([numbers[-1], *launched]) + 1)).difference(numbers)):
            missing_plans[name] = missing
        for number in numbers:
            try:
                plan = store.plan(name, number)
            except StoreError as error:
                problems.append(str(error))
                continue
            plans.setdefault(name, []).append(plan)
            digest = plan_digest(store.plan_file(name, number)[0])
            if {plan.head.digest, *launched.get(number, ())} != {digest}:
                altered_plans.setdefault(name, []).append(number)
    records, courses, endings = {}, {}, {}
    altered, rewritten = set(), set()
    for record, file in store.written():
        courses[record.id] = _course(record)
        endings[record.id] = store.endings(record.id)
        if record_id(record) != record.id:
            altered.add(record.id)
        if _is_rewritten(endings[record.id], file):
            rewritten.add(record.id)
        records[record.id] = msgspec.structs.replace(record, curve=msgspec.structs.replace(record.curve, points={}))
    planned = {run.id for of_sweep in plans.values() for plan in of_sweep for run in plan.runs}
    states = store.states(planned - records.keys())
    endings |= {run: store.endings(run) for run, state in states.items() if state.kind != "waiting"}
    return Evidence(
        plans=plans,
        records=records,
        courses=courses,
        states=states,
        endings=endings,
        forgotten=frozenset(store.forgotten()),
        altered_records=frozenset(altered),
        rewritten_records=frozenset(rewritten),
        altered_plans=altered_plans,
        missing_plans=missing_plans,
        problems=[*problems, *store.problems],
    )


def _launched(store: Store, name: str) -> dict[int, set[str]]:
    """By number, the plans of a sweep that were launched, with the digests that they had then, where that was noted."""
    launched: dict[int, set[str]] = {}
    for submission in store.submissions(name):
        number, digest = submission.get("plan"), submission.get("digest")
        if isinstance(number, int):
            launched.setdefault(number, set()).update({digest} if digest and isinstance(digest, str) else ())
    return launched


def _is_rewritten(endings: Mapping[int, Ended], file: bytes) -> bool:
    """Whether an attempt said which record it wrote, and none wrote this one."""
    written = [ended.record for ended in endings.values() if ended.record]
    return bool(written) and file_digest(file) not in written


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
