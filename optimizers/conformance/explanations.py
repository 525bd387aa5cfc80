"""Explains the kit's failures: adds the likely remedy to an error, and reports each cause once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One check's outcome."""

    check: str
    """Its name, as words."""
    status: Literal["pass", "fail", "lacks", "skipped"]
    """"lacks": the optimizer says, by a flag or a clear refusal, that it cannot do what training does not need either.
    "skipped": a failure whose cause an earlier finding has."""
    detail: str = ""


_RAISED = re.compile(r"\w+: ")
"""How the detail of an error begins that the optimizer raised."""

BY_ERROR = (
    (re.compile(r"leaf Variable that requires grad"), "put @torch.no_grad() above step"),
    (re.compile(r"KeyError: 'lr'"), "name the rate lr among the defaults given to super().__init__, or read none"),
    (re.compile(r"KeyError: "), "fill self.state[p] in the first step, where it is empty"),
    (re.compile(r"NoneType' object has no attribute|unsupported operand.*NoneType"), "pass over p.grad is None"),
)
BY_CHECK = {
    "same twice": "let a step depend on weights, gradients, groups and state alone",
    "goes on from a checkpoint": (
        "keep what a step needs of earlier ones in self.state[p] or in the groups, which state_dict() saves"
    ),
    "keeps what epoch end does in its state": "keep what epoch_end changes in self.state[p] or in the groups",
    "rate zero moves nothing": "scale all that a step does, its decay too, by group['lr']",
    "takes its rate from the groups": "read group['lr'] in each step: the schedule writes the rate there",
    "leaves parameters without gradient alone": "pass over p.grad is None",
    "survives zero gradients": "add an eps to what is divided by",
    "leaves gradients as they are": "work on a copy: p.grad.mul(2) in place of p.grad.mul_(2)",
}


def with_remedy(finding: Finding) -> Finding:
    """Returns a failure with what most often helps: by the error's words, else by which check it is."""
    if finding.status != "fail":
        return finding
    by_error = (remedy for words, remedy in BY_ERROR if words.search(finding.detail))
    remedy = next(by_error, None if _RAISED.match(finding.detail) else BY_CHECK.get(finding.check))
    return msgspec.structs.replace(finding, detail=f"{finding.detail}; {remedy}") if remedy else finding


def each_cause_once(findings: Sequence[Finding]) -> list[Finding]:
    """Returns `findings` with each failure marked as skipped that has the error of an earlier one."""
    details: set[str] = set()
    reported = []
    for finding in findings:
        again = finding.status == "fail" and finding.detail in details and _RAISED.match(finding.detail)
        reported.append(Finding(finding.check, "skipped") if again else finding)
        details.add(finding.detail)
    return reported
