"""The audit of a store: every check on every sweep, and the numbers of the checklists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from optathlon.results.audit.budgets import unequal_budgets
from optathlon.results.audit.checklist import Item, checklist, unanswered
from optathlon.results.audit.choices import tainted_choices
from optathlon.results.audit.evidence import Evidence
from optathlon.results.audit.finding import Finding
from optathlon.results.audit.integrity import altered_or_mixed
from optathlon.results.audit.looks import changes_after_results
from optathlon.results.audit.outcomes import hidden_outcomes

_CHECKS: tuple[Callable[[Evidence, str], Iterable[Finding]], ...] = (
    unequal_budgets,
    tainted_choices,
    changes_after_results,
    hidden_outcomes,
    altered_or_mixed,
    unanswered,
)


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit says of a store."""

    findings: list[Finding]
    checklists: dict[str, list[Item]]
    """By sweep."""


def audit(evidence: Evidence) -> Audit:
    """Every fault of the sweeps, of records that no sweep plans, and of files that cannot be read."""
    return Audit(
        findings=list(_findings(evidence)),
        checklists={sweep: checklist(evidence, sweep) for sweep in evidence.plans},
    )


def _findings(evidence: Evidence) -> Iterator[Finding]:
    for sweep in evidence.plans:
        for check in _CHECKS:
            yield from check(evidence, sweep)
    planned = {run.id for plans in evidence.plans.values() for run in plans[-1].runs}
    for run in sorted(evidence.altered_records - planned):
        what = f"the id of record {run} is not that of its problem, setting and seed"
        yield Finding(fault="altered record", sweep="", where=f"run {run}", what=what)
    for problem in evidence.problems:
        yield Finding(fault="unreadable", sweep="", where="a file", what=problem)
