"""Where launched sweeps stand: every run's state, read from files; without a sweep, a line for each."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

from optathlon.results import State, Store, StoreError
from optathlon.results.plan import Plan
from optathlon.suite.console import add_json, add_store, print_json, say, show, table
from optathlon.suite.errors import ENVIRONMENT, INCOMPLETE
from optathlon.suite.monitoring import alive_workers, progress, status
from optathlon.suite.monitoring.ended_workers import Last, last
from optathlon.suite.planning import sweep_reader

RUNNING = 20
Seen = tuple[status.Overview, alive_workers.Workers, Last | None]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", nargs="?", help="a launched sweep's name or file (default: all, a line each)")
    parser.add_argument("--watch", action="store_true", help="look again and again until no worker is alive")
    parser.add_argument("--check", action="store_true", help="exit with 3 unless every run has its outcome")
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    names = [sweep_reader.name_of(args.sweep)] if args.sweep else store.plan_names()
    if not names:
        say(f"no sweep was launched in {args.store}")
    plans = [store.plan(names[0])] if args.sweep else list(_readable(store, names))
    seen = _watch(store, plans) if args.watch and plans else _look(store, plans)
    if ahead := store.liveness.clock_ahead():
        say(
            f"this machine's clock is {progress.duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} that of "
            f"{args.store}'s file server, by which heartbeats are judged; set it right"
        )
    if args.json:
        print_json({"sweeps": [_document(*each) for each in seen]})
    elif seen and not (args.watch and sys.stdout.isatty()):
        show(_page(seen, bool(args.sweep)))
    if len(plans) < len(names):
        return ENVIRONMENT
    return INCOMPLETE if args.check and any(s.left or s.counts["failed"] for s, _, _ in seen) else 0


def _readable(store: Store, names: list[str]) -> Iterator[Plan]:
    """The plans of `names`; a damaged one hides no other."""
    for name in names:
        try:
            yield store.plan(name)
        except StoreError as error:
            say(str(error))


def _look(store: Store, plans: list[Plan]) -> list[Seen]:
    """Files first: what the scheduler says of the same moment is older."""
    seen = [status.overview(store, plan) for plan in plans]
    found = [(each, alive_workers.look(store, each.plan.head.name)) for each in seen]
    return [(each, alive, last(store, alive) if each.left else None) for each, alive in found]


def _watch(store: Store, plans: list[Plan]) -> list[Seen]:
    """Show the plans anew on a terminal, a log line per half minute elsewhere, until no worker is alive."""
    teller = progress.Teller()
    while True:
        begun = time.monotonic()
        seen = _look(store, plans)
        over = not any(w.names or w.unknown for _, w, _ in seen)
        if sys.stdout.isatty():
            print("\x1b[H\x1b[2J", end="")
            show(_page(seen, len(plans) == 1))
        else:
            teller.tell("; ".join(progress.line(s, len(w.names)) for s, w, _ in seen), last=over)
        if over:
            return seen
        time.sleep(progress.pause(time.monotonic() - begun))


def _page(seen: list[Seen], whole: bool) -> str:
    return "\n".join(_text(*each) if whole else progress.line(each[0], len(each[1].names)) for each in seen)


def _document(seen: status.Overview, alive: alive_workers.Workers, over: Last | None) -> dict[str, Any]:
    return {
        "sweep": seen.plan.head.name,
        "runs": seen.total,
        "counts": {kind: seen.counts[kind] for kind in status.KINDS},
        "workers": len(alive.names),
        "pending": _waiting(alive, alive.pending),
        "held_workers": _waiting(alive, alive.held),
        "never_start": _waiting(alive, alive.never),
        "abandoned": alive.lost(seen.states),
        "last_worker": over and _last_worker(over),
        "cells": [{"row": row, "task": column, **counts} for (row, column), counts in seen.cells.items()],
        "running": list(map(_running_fields, seen.running)),
        "errors": list(map(_trouble_fields, seen.errors)),
        "held": [{"why": h.why, "runs": h.runs, "hosts": h.hosts} for h in seen.held],
        "hours_left": seen.remaining,
        "runs_of_unknown_cost": seen.unknown,
        "seconds_left": seen.eta,
    }


def _last_worker(over: Last) -> dict[str, Any]:
    return {
        "ended": over.ended or None,
        "log": str(over.log) if over.log else None,
        "said": over.said,
        "folder": str(over.folder),
        "slurm": over.states,
    }


def _running_fields(running: status.Running) -> dict[str, Any]:
    return {
        "run": running.run.id,
        "row": running.run.row,
        "task": running.run.column,
        "seed": running.run.seed,
        "progress": running.progress,
        "updates_per_second": running.speed,
        "seconds_left": running.left,
        "quiet_seconds": running.quiet,
        "host": running.host,
    }


def _trouble_fields(trouble: status.Trouble) -> dict[str, Any]:
    return {
        "reason": trouble.reason,
        "class": trouble.failure,
        "what": trouble.what,
        "advice": trouble.advice,
        "runs": trouble.runs,
        "failed": trouble.final,
        "hosts": trouble.hosts,
    }


def _waiting(alive: alive_workers.Workers, names: list[str]) -> dict[str, Any]:
    return {"workers": len(names), "reasons": alive.reasons(names)}


def _text(seen: status.Overview, alive: alive_workers.Workers, over: Last | None) -> str:
    lines = [progress.line(seen, len(alive.names)), *_queue(seen, alive), *(over.told() if over else ())]
    kinds = [kind for kind in status.KINDS if seen.counts[kind]]
    rows = [
        (column, row, *(counts[k] for k in kinds))
        for (row, column), counts in sorted(seen.cells.items(), key=lambda c: (c[0][1], c[0][0]))
    ]
    lines += ["", table(rows, ("task", "row", *kinds))]
    if seen.running:
        rows = [_running(r) for r in seen.running[:RUNNING]]
        lines += ["", table(rows, ("running", "id", "done", "updates/s", "left", "on"))]
        lines += [f"... and {len(seen.running) - RUNNING} more"] if len(seen.running) > RUNNING else []
        lines += [_hangs(r, seen.states[r.run.id]) for r in seen.running if r.hangs]
    if troubles := progress.troubles(seen):
        lines += ["", *troubles]
    return "\n".join([*lines, ""])


def _queue(seen: status.Overview, alive: alive_workers.Workers) -> list[str]:
    """What only a scheduler knows."""
    lines = []
    if waiting := alive.pending:
        why = f" ({', '.join(reasons)})" if (reasons := alive.reasons(waiting)) else ""
        lines.append(f"{len(waiting)} of {len(alive.names)} workers wait in the queue{why}")
    if alive.held:
        lines.append(alive_workers.told_of_held(alive))
    if never := alive.never:
        why = ", ".join(alive.reasons(never))
        lines.append(f"{len(never)} workers cannot start ({why}): correct what they ask for, and launch again")
    if lost := alive.lost(seen.states):
        lines.append(f"{len(lost)} runs that seem to be running have lost their job: the next worker takes them")
    if seen.left and not alive.names and alive.unknown:
        lines.append(f"{len(alive.unknown)} jobs cannot be asked about from here (another machine, or no answer)")
    return lines


def _hangs(running: status.Running, state: State) -> str:
    owner = state.owner
    job = (owner.job or "").rpartition(":")[2] if owner else ""
    how = (
        f"`scancel {job}`, and launch again" if job else f"kill process {owner.pid if owner else '?'} on {running.host}"
    )
    return (
        f"{status.label(running.run)} ({running.run.id}): no update for {progress.duration(running.quiet)}; "
        f"if that is no long evaluation, it hangs: {how}, and it goes on from its last checkpoint"
    )


def _running(running: status.Running) -> tuple[str, ...]:
    speed = f"{running.speed:.3g}" if running.speed else "-"
    left = progress.duration(running.left) if running.left is not None else "-"
    return status.label(running.run), running.run.id, f"{running.progress:.0%}", speed, left, running.host
