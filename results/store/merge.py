"""Several stores into one: what is new is copied, what differs is reported, nothing is changed or overwritten."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from optathlon.results.errors import StoreError
from optathlon.results.record import Record
from optathlon.results.store.files import names
from optathlon.results.store.store import Store


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """One run with two outcomes."""

    run: str
    task: str
    optimizer: str
    seed: int
    fields: list[str]
    """Where they differ."""
    kept: dict[str, Any]
    """The provenance of the record that is in the store merged into, or goes there."""
    other: dict[str, Any]
    """The provenance of the record that is left out."""


class MergedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan of a source, and what it is in the store merged into."""

    sweep: str
    number: int
    """In the source."""
    becomes: int
    """Its number after the merge."""
    new: bool
    """Whether it was not there before."""
    shown: bool
    """Whether it is the newest of its sweep, and so what boards show, although the store had others."""


class Merged(msgspec.Struct, kw_only=True):
    """What came of one source."""

    source: str
    copied: int = 0
    """Runs whose record was new."""
    same: int = 0
    """Runs that had a record with the same outcome."""
    conflicts: list[Conflict] = []
    plans: list[MergedPlan] = []
    problems: list[str] = []
    """What was left out, each by name."""
    unfinished: int = 0
    """Runs with work but no record; the work stays in the source."""
    references: int = 0
    """Problems whose references were new."""

    @property
    def whole(self) -> bool:
        """Whether nothing was left out."""
        return not self.conflicts and not self.problems


def merge(
    sources: Sequence[Store],
    into: Store,
    fits: Callable[[Record], bool],
    dry: bool = False,
    tell: Callable[[Merged], None] = lambda outcome: None,
) -> list[Merged]:
    """Copy records, references and plans of `sources`, in their order, to `into`, and bring its index up to date.

    A run's record counts as the same if all but its provenance is equal; of different ones the first stays. fits:
    whether a record's id is that of what it says of itself. dry: only look. tell: is called as records are dealt with.
    A merge that was interrupted can be repeated. StoreError if a source has nothing, or is `into` or above it.
    """
    for source in sources:
        if source.root.resolve() == into.root.resolve():
            raise StoreError(f"{source.root}: is the store to merge into")
        if into.root.resolve().is_relative_to(source.root.resolve()):
            raise StoreError(
                f"{into.root}: lies inside {source.root}, which is only read; merge into a folder beside it"
            )
        if not names(source.root / "records") and not source.plan_names():
            raise StoreError(f"{source.root}: is no store: it has neither records nor plans")
    coming = _Coming(into)
    outcomes = [_merged(source, into, coming, fits, dry, tell) for source in sources]
    if not dry and any(outcome.copied for outcome in outcomes):
        # The index only spares time, and what was copied is told even if there is no room left for it.
        with contextlib.suppress(OSError):
            into.compact()
    return outcomes


class _Coming:
    """What the store merged into has, or would have by now: records that a dry merge did not write are remembered."""

    def __init__(self, into: Store) -> None:
        self.into = into
        self.there = into.finished()
        self.forgotten = into.forgotten() - self.there
        self.records: dict[str, Store] = {}
        self.plans: dict[str, dict[str, int]] = {}
        self.references: set[str] = set()

    def record(self, run_id: str) -> Record | None:
        store = self.into if run_id in self.there else self.records.get(run_id)
        return store.record(run_id) if store else None

    def digests(self, sweep: str) -> dict[str, int]:
        return self.plans.setdefault(sweep, self.into.plan_digests(sweep))


def _merged(
    source: Store,
    into: Store,
    coming: _Coming,
    fits: Callable[[Record], bool],
    dry: bool,
    tell: Callable[[Merged], None],
) -> Merged:
    outcome = Merged(source=str(source.root), conflicts=[], plans=[], problems=[])
    known_problems = len(coming.into.problems)
    for record, data in source.written():
        _take(record, data, source, coming, fits, dry, outcome)
        tell(outcome)
    outcome.plans = list(_plans(source, coming, dry, outcome.problems))
    outcome.references = sum(
        _adopted(problem.problem, data, coming, dry) for problem, data in source.written_references()
    )
    outcome.problems += source.problems + coming.into.problems[known_problems:]
    finished = source.finished()
    outcome.unfinished = len({run for run in _worked(source) if run not in finished})
    return outcome


def _take(
    record: Record,
    data: bytes,
    source: Store,
    coming: _Coming,
    fits: Callable[[Record], bool],
    dry: bool,
    outcome: Merged,
) -> None:
    where = f"{source.root}: run {record.id}"
    if not fits(record):
        outcome.problems.append(f"{where}: its id is not that of its problem, setting and seed; it was changed by hand")
        return
    if record.id in coming.forgotten:
        outcome.problems.append(f"{where}: was forgotten in {coming.into.root}; remove it from trash/ there to take it")
        return
    if not dry and record.id not in coming.there:
        coming.there.add(record.id)
        adopt_sources(record, source, coming.into, outcome.problems)
        if coming.into.adopt(record.id, data):
            outcome.copied += 1
            return
    try:
        other = coming.record(record.id)
    except StoreError as error:
        outcome.problems.append(f"{where}: cannot be compared: {error}")
        return
    if other is None:
        coming.records[record.id] = source
        outcome.copied += 1
    elif fields := differences(other, record):
        outcome.conflicts.append(
            Conflict(
                run=record.id,
                task=str(record.problem.get("task", "?")),
                optimizer=str(record.setting.get("optimizer", "?")),
                seed=record.seed,
                fields=fields,
                kept=other.provenance,
                other=record.provenance,
            )
        )
    else:
        outcome.same += 1


def adopt_sources(record: Record, source: Store, into: Store, problems: list[str]) -> None:
    """Copy the sources of tasks and optimizers from outside that the provenance of `record` names."""
    kept = record.provenance.get("sources", {})
    for where in kept.values() if isinstance(kept, dict) else ():
        try:
            into.keep_source(source.source(where["sha256"]))
        except (StoreError, LookupError, TypeError) as error:
            problems.append(f"{source.root}: run {record.id}: its source is left out: {error}")


def differences(a: Record, b: Record) -> list[str]:
    """The fields in which two records differ, apart from provenance, which is where and when they ran."""
    return [f for f in a.__struct_fields__ if f not in ("provenance", "schema") and getattr(a, f) != getattr(b, f)]


def _plans(source: Store, coming: _Coming, dry: bool, problems: list[str]) -> Iterator[MergedPlan]:
    for sweep in source.plan_names():
        for number in source.plan_numbers(sweep):
            try:
                head = source.plan(sweep, number).head
                known = coming.digests(sweep)
                new, before = head.digest not in known, max(known.values(), default=0)
                becomes = before + 1 if new else known[head.digest]
                if new and not dry:
                    becomes = coming.into.put_plan_file(head, *source.plan_file(sweep, number))
            except StoreError as error:
                problems.append(f"{source.root}: plan {number} of {sweep} is left out: {error}")
                continue
            known[head.digest] = becomes
            yield MergedPlan(sweep=sweep, number=number, becomes=becomes, new=new, shown=new and before > 0)


def _adopted(problem: str, data: bytes, coming: _Coming, dry: bool) -> bool:
    """Whether the references of a problem are new, and now there. They are a function of it: the first stay."""
    if not dry:
        return coming.into.adopt_references(problem, data)
    new = problem not in coming.references and not coming.into.has_references(problem)
    coming.references.add(problem)
    return new


def _worked(source: Store) -> Iterator[str]:
    for shard in names(source.root / "work"):
        yield from names(source.root / "work" / shard)
