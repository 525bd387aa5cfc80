"""Where launched sweeps stand: every run's state, read from files; without a sweep, a line for each."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

from optathlon.results import State, Store, StoreError
from optathlon.results.plan import Plan
from optathlon.suite.commands.shared import chosen_boards
from optathlon.suite.console import add_json, add_store, print_json, say, show, table
from optathlon.suite.errors import ENVIRONMENT, INCOMPLETE
from optathlon.suite.monitoring import alive_workers, progress, status
from optathlon.suite.monitoring.ended_workers import EndedWorkers, of_newest_launch

RUNNING = 20
Standing = tuple[status.Overview, alive_workers.Workers, EndedWorkers | None]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", nargs="?", help="a launched sweep's name or file (default: all, a line each)")
    parser.add_argument("--watch", action="store_true", help="look again and again until no worker is alive")
    parser.add_argument("--check", action="store_true", help="exit with 3 unless every run has its outcome")
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    names = [chosen_boards.stored_name(store, args.sweep)] if args.sweep else store.plan_names()
    if not names:
        say(f"no sweep was launched in {args.store}")
    plans = [store.plan(names[0])] if args.sweep else list(_readable(store, names))
    standings = _watch(store, plans) if args.watch and plans else _look(store, plans)
    if ahead := store.liveness.clock_ahead():
        say(
            f"this machine's clock is {progress.duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} that of "
            f"{args.store}'s file server, by which heartbeats are judged; set it right"
        )
    if store.is_full():
        say(f"the disk of {args.store} is full: workers there can write nothing, not even why; make room")
    if args.json:
        print_json({"sweeps": [_document(*standing) for standing in standings]})
    elif standings and not (args.watch and sys.stdout.isatty()):
        show(_page(standings, bool(args.sweep)))
    if len(plans) < len(names):
        return ENVIRONMENT
    return INCOMPLETE if args.check and any(s.left or s.counts["failed"] for s, _, _ in standings) else 0


def _readable(store: Store, names: list[str]) -> Iterator[Plan]:
    """Yields the plans of `names`; a damaged one is said on stderr and hides no other."""
    for name in names:
        try:
            yield store.plan(name)
        except StoreError as error:
            say(str(error))


def _look(store: Store, plans: list[Plan]) -> list[Standing]:
    """Reads where each plan stands: files first, then the scheduler, whose word of the same moment is older."""
    overviews = [status.overview(store, plan) for plan in plans]
    standings = [(overview, alive_workers.look(store, overview.plan.head.name)) for overview in overviews]
    return [
        (overview, alive, of_newest_launch(store, alive) if overview.left else None) for overview, alive in standings
    ]


def _watch(store: Store, plans: list[Plan]) -> list[Standing]:
    """Show the plans anew on a terminal, a log line per half minute elsewhere, until no worker is alive."""
    teller = progress.Teller()
    while True:
        begun = time.monotonic()
        standings = _look(store, plans)
        over = not any(w.names or w.unknown for _, w, _ in standings)
        if sys.stdout.isatty():
            print("\x1b[H\x1b[2J", end="")
            show(_page(standings, len(plans) == 1))
        else:
            teller.tell("; ".join(progress.line(s, len(w.names)) for s, w, _ in standings), last=over)
        if over:
            return standings
        time.sleep(progress.pause(time.monotonic() - begun))


def _page(standings: list[Standing], whole: bool) -> str:
    return "\n".join(
        _text(*standing) if whole else progress.line(standing[0], len(standing[1].names)) for standing in standings
    )


def _document(
    overview: status.Overview, alive: alive_workers.Workers, last_worker: EndedWorkers | None
) -> dict[str, Any]:
    return {
        "sweep": overview.plan.head.name,
        "runs": overview.total,
        "counts": {kind: overview.counts[kind] for kind in status.KINDS},
        "workers": len(alive.names),
        "pending": _waiting(alive, alive.pending),
        "held_workers": _waiting(alive, alive.held),
        "never_start": _waiting(alive, alive.never),
        "abandoned": alive.lost(overview.states),
        "last_worker": last_worker and _last_worker(last_worker),
        "cells": [{"row": row, "task": column, **counts} for (row, column), counts in overview.cells.items()],
        "running": list(map(_running_fields, overview.running)),
        "errors": list(map(_trouble_fields, overview.errors)),
        "held": [{"why": h.why, "runs": h.runs, "hosts": h.hosts} for h in overview.held],
        "hours_left": overview.remaining,
        "runs_of_unknown_cost": overview.unknown,
        "seconds_left": overview.eta,
    }


def _last_worker(over: EndedWorkers) -> dict[str, Any]:
    return {
        "ended": over.ended or None,
        "log": str(over.log) if over.log else None,
        "said": over.last_line,
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


def _text(overview: status.Overview, alive: alive_workers.Workers, last_worker: EndedWorkers | None) -> str:
    lines = [
        progress.line(overview, len(alive.names)),
        *_queue(overview, alive),
        *(last_worker.explain() if last_worker else ()),
    ]
    kinds = [kind for kind in status.KINDS if overview.counts[kind]]
    rows = [
        (column, row, *(counts[k] for k in kinds))
        for (row, column), counts in sorted(overview.cells.items(), key=lambda c: (c[0][1], c[0][0]))
    ]
    lines += ["", table(rows, ("task", "row", *kinds))]
    if overview.running:
        rows = [_running(r) for r in overview.running[:RUNNING]]
        lines += ["", table(rows, ("running", "id", "done", "updates/s", "left", "on"))]
        lines += [f"... and {len(overview.running) - RUNNING} more"] if len(overview.running) > RUNNING else []
        lines += [_hangs(r, overview.states[r.run.id]) for r in overview.running if r.hangs]
    if troubles := progress.troubles(overview):
        lines += ["", *troubles]
    return "\n".join([*lines, ""])


def _queue(overview: status.Overview, alive: alive_workers.Workers) -> list[str]:
    """Says what only a scheduler knows: workers that wait, are held, cannot start or are lost."""
    lines = []
    if waiting := alive.pending:
        why = f" ({', '.join(reasons)})" if (reasons := alive.reasons(waiting)) else ""
        lines.append(f"{len(waiting)} of {len(alive.names)} workers wait in the queue{why}")
    if alive.held:
        lines.append(alive_workers.held_message(alive))
    if never := alive.never:
        why = ", ".join(alive.reasons(never))
        lines.append(f"{len(never)} workers cannot start ({why}): correct what they ask for, and launch again")
    if lost := alive.lost(overview.states):
        lines.append(f"{len(lost)} runs that seem to be running have lost their job: the next worker takes them")
    if overview.left and not alive.names and alive.unknown:
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
