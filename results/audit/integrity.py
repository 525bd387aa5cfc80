"""Whether records and plans are what was run and planned: untouched, of one code, one set of libraries, one data."""

from __future__ import annotations

import datetime
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from optathlon.results.audit.evidence import Evidence, moment
from optathlon.results.audit.finding import Finding
from optathlon.results.plan import Plan, PlannedRun
from optathlon.results.record import Record

_LIBRARIES = ("torch", "cuda")
_CLOCKS_DIFFER = datetime.timedelta(hours=1)


def altered_or_mixed(evidence: Evidence, sweep: str) -> Iterator[Finding]:
    """Findings on the plans of `sweep` and on the records of its newest one."""
    for number in evidence.altered_plans.get(sweep, ()):
        what = "its contents do not have its digest, or that with which it was launched: it was changed by hand"
        yield Finding(fault="altered plan", sweep=sweep, where=f"plan {number}", what=what)
    for number in evidence.missing_plans.get(sweep, ()):
        what = "it is not there, although it was launched or later ones are: it was removed by hand"
        yield Finding(fault="altered plan", sweep=sweep, where=f"plan {number}", what=what)
    yield from _out_of_order(evidence, sweep)
    plan = evidence.shown(sweep)
    planned = {run.id: run for run in plan.runs}
    records = [evidence.records[run] for run in planned if run in evidence.records]
    for record in records:
        run = planned[record.id]
        for fault, what in _altered(evidence, record):
            yield Finding(fault=fault, sweep=sweep, where=f"{run.row} on {run.column}, seed {run.seed}", what=what)
    yield from _copied(evidence, sweep, plan)
    yield from _mixed(sweep, "mixed code", "versions of the code", Counter(map(_tree, records)))
    yield from _mixed(sweep, "mixed libraries", "sets of libraries", Counter(map(_libraries, records)))
    yield from _mixed_data(sweep, plan, records)


def _altered(evidence: Evidence, record: Record) -> Iterator[tuple[str, str]]:
    """Faults of a record that was changed by hand, with what shows it."""
    if record.id in evidence.altered_records:
        yield "altered record", f"the id of record {record.id} is not that of its problem, setting and seed"
    elif record.id in evidence.rewritten_records:
        yield "altered record", f"record {record.id} is not the file that its attempt wrote: it was changed by hand"
    if scores := evidence.courses[record.id].off_curve:
        yield "off its curve", f"record {record.id}: {', '.join(scores)} is none of the values on its curve"


def _out_of_order(evidence: Evidence, sweep: str) -> Iterator[Finding]:
    """Plans that say they were made before the one that they follow, by more than clocks differ."""
    for older, newer in itertools.pairwise(evidence.plans[sweep]):
        before, after = moment(older.head.created), moment(newer.head.created)
        if before and after and after < before - _CLOCKS_DIFFER:
            what = f"it says that it was made at {newer.head.created}, before the plan that it follows"
            yield Finding(
                fault="altered plan", sweep=sweep, where=f"the plan after that of {before:%Y-%m-%d}", what=what
            )


def _copied(evidence: Evidence, sweep: str, plan: Plan) -> Iterator[Finding]:
    """Runs of different seeds, of whatever setting, that ended with the same weights or have the same training losses.

    Two settings may well train alike with one seed: a projection that never projects, a decay of 0.
    """
    first: dict[tuple[str, str, str], PlannedRun] = {}
    for run in plan.runs:
        for what, digest in _signs_of_origin(evidence, run.id):
            other = first.setdefault((run.problem, what, digest), run)
            if other.seed != run.seed:
                words = f"records {other.id} and {run.id}, of seeds {other.seed} and {run.seed}, have {what}"
                yield Finding(fault="copied record", sweep=sweep, where=f"{run.row} on {run.column}", what=words)
                break


def _signs_of_origin(evidence: Evidence, run: str) -> Iterator[tuple[str, str]]:
    """What no two seeds have in common: digests of a run's training losses and of its final weights."""
    record = evidence.records.get(run)
    if record is None or record.status == "diverged":
        return
    if (digest := evidence.courses[run].digest) is not None:
        yield "the same training losses to the last digit", digest
    if record.weights:
        yield "the same final weights to the last bit", record.weights


def _mixed(sweep: str, fault: str, what: str, counts: Mapping[str | None, int]) -> Iterator[Finding]:
    known = {value: count for value, count in counts.items() if value}
    if len(known) > 1:
        parts = ", ".join(f"{value} ({count} runs)" for value, count in known.items())
        yield Finding(fault=fault, sweep=sweep, where="the whole sweep", what=f"{len(known)} {what}: {parts}")


def _tree(record: Record) -> str | None:
    return _text(record.provenance.get("code"), "tree")


def _libraries(record: Record) -> str | None:
    versions = record.provenance.get("versions")
    words = [f"{name} {version}" for name in _LIBRARIES if (version := _text(versions, name))]
    return " ".join(words) or None


def _text(values: Any, key: str) -> str | None:
    """`values[key]` if it is text: a provenance may hold anything."""
    value = values.get(key) if isinstance(values, Mapping) else None
    return value if isinstance(value, str) else None


def _mixed_data(sweep: str, plan: Plan, records: Iterable[Record]) -> Iterator[Finding]:
    """Data sets of which the plan's problems, or the records, have several editions."""
    problems = [*plan.head.problems.values(), *(record.problem for record in records)]
    editions: dict[str, dict[str, None]] = {}
    for problem in problems:
        for data, edition in problem.get("data", {}).items():
            editions.setdefault(data, {})[edition] = None
    for data, found in editions.items():
        if len(found) > 1:
            yield Finding(fault="mixed data", sweep=sweep, where=data, what=f"editions {', '.join(found)}")
