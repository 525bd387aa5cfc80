"""Stores of several labs or clusters into one: sources are only read, nothing is overwritten, conflicts are said."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from optathlon.results import Store
from optathlon.results.record import Identity, Record
from optathlon.results.store.merge import Conflict, Merged, merge
from optathlon.suite.console import add_json, print_json, say
from optathlon.suite.errors import INCOMPLETE, OK
from optathlon.suite.identity import digest, run_id
from optathlon.suite.monitoring.progress import Teller


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", nargs="+", type=Path, help="a store to read")
    parser.add_argument(
        "--into", type=Path, required=True, metavar="STORE", help="where all goes; made if it is not there"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and write nothing")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    teller = Teller()
    done = 0

    def tell(merged: Merged) -> None:
        nonlocal done
        done += 1
        if done % 100 == 0:
            teller.tell(f"{done} records: {merged.copied} of {merged.source} copied")

    sources = [Store(path) for path in dict.fromkeys(args.source)]
    outcomes = merge(sources, Store(args.into), _fits, args.dry_run, tell)
    if done >= 100:
        teller.close()
    if args.json:
        print_json(
            {"into": str(args.into), "dry_run": args.dry_run, "sources": [msgspec.to_builtins(f) for f in outcomes]}
        )
    else:
        print("\n".join(line for merged in outcomes for line in _lines(merged, args.dry_run)))
    for merged in outcomes:
        for problem in merged.problems:
            say(f"left out: {problem}")
    return OK if all(merged.whole for merged in outcomes) else INCOMPLETE


def _fits(record: Record) -> bool:
    identity = Identity(problem=digest(record.problem), setting=digest(record.setting))
    return identity == record.digests and run_id(identity, record.seed) == record.id


def _lines(merged: Merged, dry: bool) -> list[str]:
    copied = "would be copied" if dry else "copied"
    counts = [f"{merged.copied} records {copied}", f"{merged.same} there already"]
    counts += [f"{len(merged.conflicts)} in conflict"] if merged.conflicts else []
    counts += [f"{len(merged.problems)} left out"] if merged.problems else []
    lines = [f"{merged.source}: {', '.join(counts)}"]
    if merged.references:
        plural = "s" if merged.references > 1 else ""
        lines.append(f"  references of {merged.references} problem{plural} {copied}")
    for plan in merged.plans:
        where = "is there already as" if not plan.new else "would become" if dry else "is now"
        shown = f", the newest, which `optathlon leaderboard {plan.sweep}` shows" if plan.shown else ""
        lines.append(f"  {plan.sweep}: plan {plan.number} {where} plan {plan.becomes}{shown}")
    lines += [line for conflict in merged.conflicts for line in _conflict(conflict)]
    if merged.unfinished:
        plural = "s are" if merged.unfinished > 1 else " is"
        lines.append(f"  {merged.unfinished} unfinished run{plural} not copied, nor are checkpoints and logs")
    return lines


def _conflict(conflict: Conflict) -> list[str]:
    what = f"{conflict.run} ({conflict.task}, {conflict.optimizer}, seed {conflict.seed})"
    return [
        f"  conflict: {what}: {', '.join(conflict.fields)} differ; the first is kept",
        f"    kept:     {_origin(conflict.kept)}",
        f"    left out: {_origin(conflict.other)}",
    ]


def _origin(provenance: Mapping[str, Any]) -> str:
    machine, code, versions = (_table(provenance, key) for key in ("machine", "code", "versions"))
    facts = {
        "ended": provenance.get("ended"),
        "host": machine.get("host"),
        "device": machine.get("device"),
        "code": code.get("tree"),
        "torch": versions.get("torch"),
    }
    return ", ".join(f"{key} {value}" for key, value in facts.items() if value) or "no provenance"


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = values.get(key)
    return value if isinstance(value, Mapping) else {}
