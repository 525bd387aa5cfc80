"""Let runs that failed for good be tried again, each from its last checkpoint: all of a sweep, or single ones."""

from __future__ import annotations

import argparse

from optathlon.results import Store
from optathlon.suite.console import add_json, add_store, print_json, say
from optathlon.suite.errors import UsageError
from optathlon.suite.monitoring import find_run
from optathlon.suite.planning import sweep_reader


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", nargs="+", metavar="SWEEP|RUN",
        help="a launched sweep's name or file, or a run by the beginning of its id or its label task/row/s0",
    )  # fmt: skip
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    chosen: dict[str, None] = {}
    for words in args.what:
        chosen |= dict.fromkeys(_failed(store, words))
    for run in chosen:
        store.retry(run)
    if chosen:
        say(f"{len(chosen)} runs may be tried again, up to three times each, from their last checkpoints")
        say("a worker that is at work on their sweep takes them by itself; else launch it again")
    else:
        say("nothing to retry: no run failed for good")
    if args.json:
        print_json({"retried": list(chosen)})
    return 0


def _failed(store: Store, words: str) -> list[str]:
    """Returns the runs that `words` name and that failed for good; UsageError for a single run in another state."""
    if words.endswith(".toml") or words in store.plan_names():
        states = store.states(dict.fromkeys(r.id for r in store.plan(sweep_reader.name_of(words)).runs))
        return [name for name, state in states.items() if state.kind == "failed" and state.attempt]
    run = find_run.run(store, words)
    state = store.states([run])[run]
    if state.kind == "diverged":
        raise UsageError(f"run {run} diverged, which is an outcome; `optathlon forget {run}` lets it be run anew")
    if state.kind != "failed":
        raise UsageError(f"run {run} did not fail for good: it is {state.kind}")
    if not state.attempt:
        raise UsageError(f"run {run}: {state.reason}; `optathlon forget {run}` moves that away")
    return [run]
