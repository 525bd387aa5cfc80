"""Whether settings were chosen without a look at what they are judged by."""

from __future__ import annotations

from collections.abc import Iterator

from optathlon.results.audit.evidence import Evidence, moment
from optathlon.results.audit.finding import Finding
from optathlon.results.board.selection import winners
from optathlon.results.plan import Plan

Compared = dict[tuple[str, str, int], list[str]]
"""By task, optimizer and seed: where several settings were compared by runs of that seed."""


def tainted_choices(evidence: Evidence, sweep: str) -> Iterator[Finding]:
    """Findings on edges of grids, on selection by test scores, and on report seeds that also tuned."""
    plan = evidence.shown(sweep)
    yield from _on_edges(evidence, sweep, plan)
    for column in plan.head.columns:
        if column.selection is not None and column.selection.startswith("test/"):
            what = f"settings are selected by {column.selection}"
            yield Finding(fault="chosen on test", sweep=sweep, where=column.label, what=what)
    yield from _seen(evidence, sweep, plan)
    yield from _tuned_here(sweep, plan)
    yield from _tuned_elsewhere(evidence, sweep, plan)


def _on_edges(evidence: Evidence, sweep: str, plan: Plan) -> Iterator[Finding]:
    for (row, column), winner in winners(plan, evidence.records, evidence.failed).items():
        if winner.edges:
            what = f"chosen on the edge of what was tried: {', '.join(winner.edges)}"
            yield Finding(fault="edge", sweep=sweep, where=f"{row} on {column}", what=what)


def _seen(evidence: Evidence, sweep: str, plan: Plan) -> Iterator[Finding]:
    """Report runs with a record although their setting was not chosen, which no plan shows, or tunes by."""
    allowed = {run.id for plans in evidence.plans.values() for other in plans for run in evidence.chosen(other)}
    allowed |= {r.id for plans in evidence.plans.values() for other in plans for r in other.runs if r.role == "tune"}
    reported: dict[tuple[str, str], set[str]] = {}
    for run in plan.runs:
        if run.role == "report" and run.id in evidence.records and run.id not in allowed:
            reported.setdefault((run.row, run.column), set()).add(run.setting)
    for (row, column), settings in reported.items():
        what = f"{len(settings)} settings that were not chosen have report runs"
        yield Finding(fault="test seen", sweep=sweep, where=f"{row} on {column}", what=what)


def _tuned_here(sweep: str, plan: Plan) -> Iterator[Finding]:
    for column in plan.head.columns:
        roles: dict[str, set[int]] = {"tune": set(), "report": set()}
        for run in plan.runs:
            if run.column == column.name:
                roles[run.role].add(run.seed)
        if common := sorted(roles["tune"] & roles["report"]):
            what = f"seed {', '.join(map(str, common))} tunes and reports"
            yield Finding(fault="seed tunes and reports", sweep=sweep, where=column.label, what=what)


def _tuned_elsewhere(evidence: Evidence, sweep: str, plan: Plan) -> Iterator[Finding]:
    """Report seeds by whose runs settings of the same optimizer were compared in another plan of the store."""
    compared = _compared(evidence, sweep, plan)
    compared_at: dict[tuple[str, str], dict[str, set[int]]] = {}
    optimizers = {row.name: row.optimizer for row in plan.head.rows}
    for run in evidence.reported(plan):
        task = plan.head.problems[run.problem]["task"]
        for where in compared.get((task, optimizers[run.row], run.seed), ()):
            compared_at.setdefault((run.row, run.column), {}).setdefault(where, set()).add(run.seed)
    for (row, column), places in compared_at.items():
        for where, seeds in places.items():
            what = f"seed {', '.join(map(str, sorted(seeds)))} compared settings in {where}, and reports here"
            yield Finding(fault="seed tunes and reports", sweep=sweep, where=f"{row} on {column}", what=what)


def _compared(evidence: Evidence, sweep: str, shown: Plan) -> Compared:
    """Where seeds tuned: as tuning seeds of any other plan, or as the seeds of other sweeps' rows of one optimizer, of
    which this sweep shows fewer. Plans made later count for nothing."""
    compared: Compared = {}
    settings_here = _settings(shown)
    for name, plans in evidence.plans.items():
        for plan in plans:
            # Nobody chose by what was planned only after this sweep was.
            if plan is shown or _made_later(plan, shown):
                continue
            several = {
                key
                for key, settings in _settings(plan).items()
                if name != sweep and len(settings) > len(here := settings_here.get(key, set())) > 0 and settings > here
            }
            for run in plan.runs:
                if run.id not in evidence.records:
                    continue
                task = plan.head.problems[run.problem]["task"]
                optimizer = plan.head.settings[run.setting]["optimizer"]
                if run.role == "tune" or (run.problem, optimizer) in several:
                    places = compared.setdefault((task, optimizer, run.seed), [])
                    if (where := f"sweep {name}" if name != sweep else "an earlier plan") not in places:
                        places.append(where)
    return compared


def _made_later(plan: Plan, than: Plan) -> bool:
    made, before = moment(plan.head.created), moment(than.head.created)
    return bool(made and before and made > before)


def _settings(plan: Plan) -> dict[tuple[str, str], set[str]]:
    """By problem and optimizer, the settings that a plan reports without having tuned."""
    tuned = {(run.row, run.column) for run in plan.runs if run.role == "tune"}
    settings: dict[tuple[str, str], set[str]] = {}
    for run in plan.runs:
        if run.role == "report" and (run.row, run.column) not in tuned:
            optimizer = plan.head.settings[run.setting]["optimizer"]
            settings.setdefault((run.problem, optimizer), set()).add(run.setting)
    return settings
