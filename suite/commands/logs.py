"""What a run said: its attempts, how each ended and why, and the end of its log."""

from __future__ import annotations

import argparse
import codecs
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from optathlon.results import State, Store
from optathlon.results.record import Attempt, Ended
from optathlon.results.store.files import open_to_read, read
from optathlon.results.store.refusals import refusals
from optathlon.results.store.run_state import LOST, UNKNOWN
from optathlon.suite import error_text, failures
from optathlon.suite.commands.launch import positive
from optathlon.suite.console import add_json, add_store, print_json, say, write_data
from optathlon.suite.errors import UsageError
from optathlon.suite.monitoring import find_run

LINES, POLL_SECONDS = 20, 0.5
JOB_FILES = ("*.txt", "*.out", "*.err")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run, by four or more first digits of its id or by its label task/row/s0")
    parser.add_argument("--attempt", type=positive, metavar="N", help="only this attempt, its log from the beginning")
    parser.add_argument("--job", action="store_true", help="the log of the worker that carried it out, instead")
    parser.add_argument("--follow", action="store_true", help="go on with what the run says, until it ends")
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    run = find_run.run(store, args.run)
    if args.job:
        return _job(store, run, args.json)
    attempts, endings = store.attempts(run), store.endings(run)
    if args.attempt is not None:
        attempts = [a for a in attempts if a.number == args.attempt]
    state = store.states([run])[run]
    if not attempts:
        which = f"attempt {args.attempt}" if args.attempt else "attempt" if state.attempt == 0 else "readable attempt"
        raise UsageError(f"run {run} is {state.kind}: it has no {which} in {args.store}{_refused(store, state, run)}")
    if args.json:
        documents = [_document(store, a, endings.get(a.number)) for a in attempts]
        print_json({"run": run, "state": state.kind, "attempts": documents})
        return 0
    for attempt in attempts:
        running = state.kind == "running" and state.attempt == attempt.number
        _write(_text(attempt, endings.get(attempt.number), running) + "\n")
    if args.follow:
        _follow(store, attempts[-1])
        state = store.states([run])[run]
    else:
        _print_log(store.log(attempts[-1]), LINES if args.attempt is None else None)
    say(f"run {run} {_is(state)}{_refused(store, state, run)}")
    return 0


def _is(state: State) -> str:
    """Says the state in words. The state of a run that failed and is tried again is "stopped" too."""
    return "failed, and is tried again" if state.kind == "stopped" and state.failure else f"is {state.kind}"


def _print_log(path: Path, lines: int | None) -> None:
    """Prints the last `lines` of a log, or all of it."""
    if path.exists() and (text := _read(path).rstrip("\n")):
        all_lines = text.split("\n")
        _write("\n".join([f"\n{path}:", *(all_lines[-lines:] if lines else all_lines), ""]))


def _read(path: Path) -> str:
    """Reads a log as it is, with the carriage returns that progress bars write."""
    return (read(path) or b"").decode(errors="replace")


def _write(text: str) -> None:
    """Writes `text` on stdout: into a pipe as it is, on a terminal without anything that the terminal would carry out.

    What a carriage return would write over stands on a line of its own there.
    """
    write_data(text.replace("\r\n", "\n").replace("\r", "\n") if sys.stdout.isatty() else text)


def _text(attempt: Attempt, ended: Ended | None, running: bool) -> str:
    lines = [f"attempt {attempt.number}, {attempt.created} on {attempt.owner.host}: {_how(ended, running)}"]
    if ended and ended.trace:
        lines += ["", error_text.legible(ended.trace.rstrip(), error_text.TRACE), ""]
    if failure := _failure(ended, running):
        what, advice = failures.known(failure).what, failures.advice(failure, attempt.run, [attempt.owner.host])
        lines.append(f"  {what}: {advice}")
    return "\n".join(lines)


def _how(ended: Ended | None, running: bool) -> str:
    if ended is None:
        return "is running" if running else "it never said how it ended"
    moved = "" if ended.kind != "failed" else ", after a new checkpoint" if ended.moved else ", with no new checkpoint"
    return error_text.legible(f"{ended.kind}{moved} at {ended.ended}{': ' + ended.reason if ended.reason else ''}")


def _failure(ended: Ended | None, running: bool) -> str:
    if ended is None:
        return "" if running else LOST
    return (ended.failure or UNKNOWN) if ended.kind == "failed" else ""


def _document(store: Store, attempt: Attempt, ended: Ended | None) -> dict[str, Any]:
    log = store.log(attempt)
    return {
        "number": attempt.number,
        "started": attempt.created,
        "host": attempt.owner.host,
        "job": attempt.owner.job,
        "ended": msgspec.to_builtins(ended) if ended else None,
        "log": str(log) if log.exists() else None,
    }


def _follow(store: Store, attempt: Attempt) -> None:
    """Print what the attempt's log holds and will hold, until it has ended or is dead."""
    path, offset, over = store.log(attempt), 0, False
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a character may be cut by the end of what is there
    while not over:
        state = store.states([attempt.run])[attempt.run]
        over = state.kind != "running" or state.attempt != attempt.number
        if path.exists():
            with open_to_read(path) as file:
                file.seek(offset)
                data = file.read()
            offset += len(data)
            _write(decoder.decode(data))
            sys.stdout.flush()
        if not over:
            time.sleep(POLL_SECONDS)


def _refused(store: Store, state: State, run: str) -> str:
    """Says who refused a run that still waits, and why."""
    planned = find_run.sweep_of(store, run) if state.kind in ("waiting", "stopped") else None
    refusal = refusals(store, planned[0].head.name).get(run) if planned else None
    return f"; a worker on {refusal.host} refused it: {refusal.why}" if refusal else ""


def _job(store: Store, run: str, as_json: bool) -> int:
    """Print the logs of the jobs of the run's sweep that name it, else those of the newest job."""
    planned = find_run.sweep_of(store, run)
    if planned is None:
        raise UsageError(f"run {run} stands in no plan of {store.root}: no worker carried it out")
    name = planned[0].head.name
    jobs = [[p for pattern in JOB_FILES for p in sorted(f.glob(pattern))] for f in find_run.job_folders(store, name)]
    texts = {path: _read(path) for files in jobs for path in files}
    naming = [path for path, text in texts.items() if run in text]
    if not (shown := naming or (jobs[-1] if jobs else [])):
        raise UsageError(f"run {run}: no job of sweep {name} has left a log here")
    if as_json:
        print_json({"run": run, "logs": [{"path": str(path), "text": texts[path]} for path in shown]})
        return 0
    for path in shown:
        _write(f"{path}:\n{texts[path]}\n")
    return 0
