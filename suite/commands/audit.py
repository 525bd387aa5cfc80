"""What is wrong with a store's claims: budgets, choices, looks, hidden outcomes, altered files; and the numbers that
the checklists of NeurIPS and ACL ask for. Exits with 1 if there is a fault."""

from __future__ import annotations

import argparse
import collections
import json
import os
from pathlib import Path

import msgspec

from optathlon.results import Store
from optathlon.results.audit.audit import Audit, audit
from optathlon.results.audit.evidence import collect
from optathlon.results.audit.finding import FAULTS
from optathlon.results.record import Identity, Record
from optathlon.suite.commands.shared import chosen_boards
from optathlon.suite.console import add_json, print_json, show, table
from optathlon.suite.errors import FAILED, OK
from optathlon.suite.identity import digest, run_id


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "store", nargs="?", type=Path, default=Path(os.environ.get("OPTATHLON_STORE") or "store"),
        help="the store to be looked at (default: $OPTATHLON_STORE, else ./store)",
    )  # fmt: skip
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    evidence = collect(store, record_id, plan_digest)
    if not evidence.plans and not evidence.records and not evidence.problems:
        raise chosen_boards.nothing_there(store)
    judged = audit(evidence)
    if args.json:
        counts = collections.Counter(finding.fault for finding in judged.findings)
        print_json({"faults": counts, **msgspec.to_builtins(judged)})
    else:
        show(_text(judged, len(evidence.records)))
    return FAILED if judged.findings else OK


def record_id(record: Record) -> str:
    """The id that the contents of `record` ask for."""
    return run_id(Identity(problem=digest(record.problem), setting=digest(record.setting)), record.seed)


def plan_digest(file: bytes) -> str:
    """The digest that the contents of a plan's file ask for: of its runs, and its head without time and digest."""
    head, *runs = (json.loads(line) for line in file.splitlines())
    return digest({"head": {**head, "created": "", "digest": ""}, "runs": runs})


def _text(judged: Audit, records: int) -> str:
    blocks = []
    for sweep, items in judged.checklists.items():
        lines = table([(item.name, item.answer, item.asked) for item in items], ("what", "answer", "asked by"))
        blocks.append(f"{sweep}: what checklists ask for\n\n{lines}")
    blocks.append(_faults(judged, records))
    return "\n\n".join(blocks)


def _faults(judged: Audit, records: int) -> str:
    if not judged.findings:
        return f"no fault found in {_count(len(judged.checklists), 'sweep')} and {_count(records, 'record')}"
    rows = [(f.fault, f.sweep or "-", f.where, f.what) for f in judged.findings]
    kinds = dict.fromkeys(finding.fault for finding in judged.findings)
    return "\n".join(
        [
            _count(len(rows), "fault"),
            "",
            table(rows, ("fault", "sweep", "where", "what")),
            "",
            *(f"{kind}: {FAULTS[kind]}" for kind in kinds),
        ]
    )


def _count(amount: int, one: str) -> str:
    return f"{amount} {one}{'s' * (amount != 1)}"
