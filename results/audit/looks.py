"""Whether a sweep was changed after results were there: seeds added, seeds, rows or tasks dropped, rules changed."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping

import msgspec

from optathlon.results.audit.evidence import Evidence, moment
from optathlon.results.audit.finding import Finding
from optathlon.results.plan import Plan, PlanHead, PlannedRun


def changes_after_results(evidence: Evidence, sweep: str) -> Iterator[Finding]:
    """Findings on each earlier plan of `sweep` that had results when the next one was made.

    Looks that a plan declares beforehand are in one plan, and are none of these.
    """
    plans = evidence.plans[sweep]
    looks = []
    for older, newer in itertools.pairwise(plans):
        cells = {(run.row, run.column) for run in _seen_before(evidence, older, newer)}
        before, after = (_most_seeds(plan, cells) for plan in (older, newer))
        if 0 < before < after:
            looks.append(before)
    if looks:
        total = max(_seeds(plans[-1]).values(), default=0)
        what = f"results were there of a plan of {', '.join(map(str, looks))} seeds when more were planned, now {total}"
        yield Finding(fault="seeds added", sweep=sweep, where="the whole sweep", what=what)
    yield from _dropped(evidence, sweep, plans)
    for older, newer in itertools.pairwise(plans):
        if _seen_before(evidence, older, newer):
            yield from _changed_rules(sweep, older, newer)


def _seen_before(evidence: Evidence, older: Plan, newer: Plan) -> list[PlannedRun]:
    """The report runs of `older` whose outcome was there when `newer` was made."""
    made = moment(newer.head.created)
    runs = []
    for run in older.runs:
        record = evidence.records.get(run.id)
        ended = moment(record.provenance.get("ended")) if record and run.role == "report" else None
        if ended and made and ended < made:
            runs.append(run)
    return runs


def _most_seeds(plan: Plan, cells: Collection[tuple[str, str]]) -> int:
    """The most report seeds that a cell of `cells` has in `plan`."""
    return max((count for cell, count in _seeds(plan).items() if cell in cells), default=0)


def _seeds(plan: Plan) -> dict[tuple[str, str], int]:
    """The number of report seeds of each cell."""
    seeds: dict[tuple[str, str], set[int]] = {}
    for run in plan.runs:
        if run.role == "report":
            seeds.setdefault((run.row, run.column), set()).add(run.seed)
    return {cell: len(of_cell) for cell, of_cell in seeds.items()}


def _dropped(evidence: Evidence, sweep: str, plans: list[Plan]) -> Iterator[Finding]:
    """What earlier plans had results of, and the newest does not show."""
    shown = plans[-1]
    rows = {row.name for row in shown.head.rows}
    tasks = {column.name for column in shown.head.columns}
    ids, cells = {run.id for run in shown.runs}, {(run.problem, run.setting) for run in shown.runs}
    lost: dict[tuple[str, str], set[str]] = {}
    for plan in plans[:-1]:
        for run in evidence.reported(plan):
            if run.id not in evidence.records or run.id in ids:
                continue
            if run.column not in tasks:
                lost.setdefault(("task dropped", run.column), set()).add(run.id)
            elif run.row not in rows:
                lost.setdefault(("row dropped", run.row), set()).add(run.id)
            elif (run.problem, run.setting) in cells:
                lost.setdefault(("seeds dropped", f"{run.row} on {run.column}"), set()).add(run.id)
    for (fault, where), runs in lost.items():
        diverged = sum(evidence.records[run].status == "diverged" for run in runs)
        lost_runs = f", {diverged} of them diverged" if diverged else ""
        what = f"{len(runs)} results of an earlier plan are not in the newest{lost_runs}"
        yield Finding(fault=fault, sweep=sweep, where=where, what=what)


def _changed_rules(sweep: str, older: Plan, newer: Plan) -> Iterator[Finding]:
    """By what `newer` judges the rows, tasks and seeds that it shares with `older` in another way."""
    rules = [("the whole sweep", *rule) for rule in _rules_of_all(older, newer)]
    columns = {column.name: column for column in newer.head.columns}
    for before in older.head.columns:
        after = columns.get(before.name)
        if after and after.problem == before.problem:
            rules.append((after.label, "the score", before.metric, after.metric))
            rules.append((after.label, "selection", before.selection, after.selection))
    for where, rule, was, now in rules:
        if was != now:
            what = f"{rule} was {was or 'none'} when results were there, and is {now or 'none'} now"
            yield Finding(fault="rules changed", sweep=sweep, where=where, what=what)


def _rules_of_all(older: Plan, newer: Plan) -> Iterator[tuple[str, object, object]]:
    """What judges all tasks: the name of each rule, before, and after."""
    if older.head.baseline in {row.name for row in newer.head.rows}:
        yield "the baseline", older.head.baseline, newer.head.baseline
    # Where seeds were added or dropped, that is named, and looks have to follow.
    if max(_seeds(older).values(), default=0) == max(_seeds(newer).values(), default=0):
        yield "looks", _looks(older.head), _looks(newer.head)
    before, after = _tuning(older.head), _tuning(newer.head)
    if before and after:
        for seed in sorted(before.keys() & after.keys()):
            yield f"what tunes seed {seed}", before[seed], after[seed]
    else:
        yield "select", _select(before), _select(after)


def _looks(head: PlanHead) -> str:
    return "" if head.looks is msgspec.UNSET else f"at {', '.join(map(str, head.looks))} seeds"


def _tuning(head: PlanHead) -> dict[int, str]:
    """By report seed its own tuning seeds; empty where one choice serves all."""
    return {} if head.tuning is msgspec.UNSET else {g.report: ", ".join(map(str, g.tune)) for g in head.tuning}


def _select(tuning: Mapping[int, str]) -> str:
    return "per seed" if tuning else "once"
