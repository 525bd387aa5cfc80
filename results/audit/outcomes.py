"""Whether every outcome is shown: failed and diverged runs, forgotten ones, more seeds than were planned."""

from __future__ import annotations

from collections.abc import Iterator

from optathlon.results.audit.evidence import Evidence
from optathlon.results.audit.finding import Finding
from optathlon.results.plan import Plan, PlannedRun
from optathlon.results.record import Record
from optathlon.results.scores import Unusable, usable, value


def hidden_outcomes(evidence: Evidence, sweep: str) -> Iterator[Finding]:
    """Findings on runs of `sweep` that failed, are missing, diverged unsaid, or were moved away."""
    plan = evidence.shown(sweep)
    due = [run for run in plan.runs if run.role == "tune"] + evidence.reported(plan)
    waiting = 0
    for run in {run.id: run for run in due}.values():
        where = f"{run.row} on {run.column}, seed {run.seed}"
        if record := evidence.records.get(run.id):
            if why := _diverged_unsaid(evidence, record):
                yield Finding(fault="hidden divergence", sweep=sweep, where=where, what=f"run {run.id}: {why}")
            elif why := _finished_unsaid(evidence, record):
                yield Finding(fault="false divergence", sweep=sweep, where=where, what=f"run {run.id}: {why}")
            elif why := _unusable(plan, run, record):
                yield Finding(fault="unusable record", sweep=sweep, where=where, what=why)
        elif (state := evidence.states.get(run.id)) and state.kind == "failed":
            what = f"run {run.id} failed for good: {state.reason}"
            yield Finding(fault="failed run", sweep=sweep, where=where, what=what)
        else:
            waiting += 1
        if what := _moved_away(evidence, run.id):
            yield Finding(fault="forgotten", sweep=sweep, where=where, what=what)
    if waiting:
        what = f"{waiting} of {len(due)} runs have no outcome"
        yield Finding(fault="unfinished", sweep=sweep, where="the whole sweep", what=what)
    yield from _unplanned(evidence, sweep)


def _diverged_unsaid(evidence: Evidence, record: Record) -> str:
    """What says that a record which is called finished diverged; empty if nothing does."""
    if record.status == "diverged":
        return ""
    headline = next((score.value for score in record.scores if score.name == record.headline), None)
    course = evidence.courses.get(record.id)
    signs = {
        f"it has diverged at update {record.diverged_at}": record.diverged_at is not None,
        "its last attempt ended as diverged": evidence.last_ending(record.id) == "diverged",
        "its last training loss is no number": bool(course and course.lost),
        f"its {record.headline} is no number": not usable(headline),
    }
    return next((words for words, true in signs.items() if true), "")


def _finished_unsaid(evidence: Evidence, record: Record) -> str:
    """What says that a record which is called diverged finished; empty if nothing does."""
    if record.status != "diverged":
        return ""
    headline = next((score.value for score in record.scores if score.name == record.headline), None)
    signs = {
        "its last attempt ended as finished": evidence.last_ending(record.id) == "finished",
        f"it has a {record.headline}": usable(headline) and record.diverged_at is None,
    }
    return next((words for words, true in signs.items() if true), "")


def _unusable(plan: Plan, run: PlannedRun, record: Record) -> str:
    """Why no board can take the score of a record; empty if it can."""
    column = next(column for column in plan.head.columns if column.name == run.column)
    try:
        if run.role == "report":
            value(record, column.metric, column.higher_is_better, column.unit)
        elif column.selection is not None:
            value(record, column.selection, bool(column.selection_higher_is_better))
    except Unusable as error:
        return f"record {record.id}: {error.why}"
    return ""


def _moved_away(evidence: Evidence, run: str) -> str:
    """What says that an outcome of a run is no longer there; empty if nothing does."""
    if run in evidence.forgotten:
        return f"an outcome of run {run} was moved to trash/"
    if earlier := evidence.earlier_outcomes(run):
        now = "another one is there" if run in evidence.records else "there is no record"
        return f"attempt {earlier[0].number} of run {run} {earlier[0].kind}, and {now}"
    return ""


def _unplanned(evidence: Evidence, sweep: str) -> Iterator[Finding]:
    """Records of what a cell shows, with seeds that no plan of the store has."""
    planned = {run.id for plans in evidence.plans.values() for plan in plans for run in plan.runs}
    cells = {(run.problem, run.setting): run for run in evidence.reported(evidence.shown(sweep))}
    extra: dict[tuple[str, str], list[int]] = {}
    for record in evidence.records.values():
        key = (record.digests.problem, record.digests.setting)
        if record.id not in planned and key in cells:
            extra.setdefault(key, []).append(record.seed)
    for key, seeds in extra.items():
        what = f"seed {', '.join(map(str, sorted(seeds)))} of what is shown was run outside of every plan"
        where = f"{cells[key].row} on {cells[key].column}"
        yield Finding(fault="unplanned seeds", sweep=sweep, where=where, what=what)
