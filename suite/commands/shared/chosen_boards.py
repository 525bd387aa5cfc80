"""What commands that look at boards share: which sweeps, which part of them, and over which tasks to sum up."""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from optathlon import optimizers, tasks
from optathlon.results import Store, SweepResults, load_results
from optathlon.results.board.plan_part import PlanPart
from optathlon.results.errors import StoreError
from optathlon.results.plan import Plan
from optathlon.results.store.files import hand_out
from optathlon.suite.console import say
from optathlon.suite.errors import MachineError, UsageError
from optathlon.suite.planning import sweep_reader
from optathlon.tasks.errors import did_you_mean


def add_part(parser: argparse.ArgumentParser, default: str = "every sweep") -> None:
    parser.add_argument("sweep", nargs="?", help=f"a launched sweep's name or file (default: {default})")
    parser.add_argument("--tasks", nargs="+", metavar="PATTERN", help="only these tasks: 'cub-*' cars-triplet")
    parser.add_argument("--optimizers", nargs="+", metavar="PATTERN", help="only rows of such a name or optimizer")


def add_on(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--on", nargs="+", metavar="TASK", default=["complete"],
        help="what is summed up over: complete (default: all tasks, for rows that have them all), common (the tasks "
        "that all rows shown have), or tasks by name or pattern",
    )  # fmt: skip


def add_highlight(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--highlight", nargs="+", metavar="PATTERN",
        help="rows in color whatever their rank (default: those of optimizers from outside the package)",
    )  # fmt: skip


def highlighted(results: SweepResults, patterns: Sequence[str] | None) -> list[str]:
    """The rows shown that are always in color: those that match `patterns`, else those of users' own optimizers."""
    if patterns is None:
        return [row.name for row in results.board.rows if not optimizers.is_built_in(row.optimizer)]
    shown = {row.name: (row.name, row.optimizer) for row in results.board.rows}
    return _matching(shown, patterns, f"{results.board.name}: no row shown", "--highlight")


def names(store: Store, sweep: str | None) -> list[str]:
    """Returns the name in the store of the sweep that was named, or of each sweep of the store."""
    return [stored_name(store, sweep)] if sweep else store.plan_names()


def stored_name(store: Store, sweep: str) -> str:
    """Returns the name of a plan of `store`: of the sweep as it was named, or of that sweep at the one other scale at
    which it was launched. UsageError if there are several."""
    name, known = sweep_reader.name_of(sweep), store.plan_names()
    scaled = [other for other in known if other in (f"{name}-{scale}" for scale in tasks.SCALES)]
    if name in known or not scaled:
        return name
    if len(scaled) > 1:
        raise UsageError(f"{sweep} was launched at other scales only; name one: {', '.join(scaled)}")
    return scaled[0]


def sweep_results(store: Store, args: argparse.Namespace, *, printed: bool = False) -> list[SweepResults]:
    """Returns what is to be looked at, per sweep; UsageError if a pattern fits nothing. What could not be read
    is said on stderr.

    printed: laid out as each sweep's [table] says, unless only a part is wanted.
    """
    results = []
    for plan in plans(store, args.sweep):
        shown = _part(plan, args.tasks, args.optimizers)
        on = _on(shown.cut_from(plan) if shown else plan, getattr(args, "on", None))
        results.append(load_results(store, plan, on=on, printed=printed and shown is None, part=shown))
    tell_problems(store)
    return results


def plans(store: Store, sweep: str | None) -> list[Plan]:
    """Returns the newest plan of the sweep that was named, or of each of the store. A plan of the store that cannot be
    read is said on stderr and hides no other."""
    if sweep:
        name = stored_name(store, sweep)
        if name != sweep_reader.name_of(sweep):
            say(f"{sweep} was not launched at its own scale here: this is {name}")
        return [store.plan(name)]
    readable = []
    for name in store.plan_names():
        try:
            readable.append(store.plan(name))
        except StoreError as error:
            say(f"left out: sweep {name}: {error}")
    return readable


def check_output(option: str, path: Path) -> None:
    """UsageError if there can be no file `path`, before there is anything to write."""
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise UsageError(f"{option} {path}: is a folder; name the file in it")


@contextlib.contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """MachineError, naming what was asked for, if `path` cannot be written."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"{option} {path}: cannot be written ({error.strerror or error})") from None


def write(option: str, path: Path, text: str) -> None:
    """Write `text` to `path` as `hand_out` does."""
    with writing(option, path):
        hand_out(path, text.encode(errors="backslashreplace"))


def tell_problems(store: Store) -> None:
    for problem in store.problems:
        say(f"left out: {problem}")


def nothing_there(store: Store) -> StoreError:
    """The error of a store without any result, which may be a mistake in its name."""
    return StoreError(f"{store.root}: holds no sweep and no record yet; `optathlon launch SWEEP` fills it")


def single_sweep(store: Store, args: argparse.Namespace) -> SweepResults:
    """Returns the results of the one sweep that is wanted; UsageError if there are several or none."""
    known = names(store, args.sweep)
    if len(known) != 1:
        which = f"name a sweep: {', '.join(known)}" if known else f"{store.root} has no sweep yet; launch one"
        raise UsageError(which)
    if not (readable := sweep_results(store, args)):
        raise StoreError(f"{store.root}: its only sweep, {known[0]}, cannot be read")
    return readable[0]


def _part(plan: Plan, tasks: Sequence[str] | None, optimizers: Sequence[str] | None) -> PlanPart | None:
    if tasks is None and optimizers is None:
        return None
    columns = {column.name: (column.name,) for column in plan.head.columns}
    rows = {row.name: (row.name, row.optimizer) for row in plan.head.rows}
    shown = _matching(rows, optimizers, f"{plan.head.name}: no row", "--optimizers")
    if plan.head.baseline in rows and plan.head.baseline not in shown:
        say(f"{plan.head.name}: no differences are shown, as {plan.head.baseline} is left out")
    return PlanPart(columns=set(_matching(columns, tasks, f"{plan.head.name}: no task", "--tasks")), rows=set(shown))


def _on(plan: Plan, words: Sequence[str] | None) -> list[str] | Literal["common"] | None:
    if words is None or words == ["complete"]:
        return None
    if words == ["common"]:
        return "common"
    return _matching({c.name: (c.name,) for c in plan.head.columns}, words, f"{plan.head.name}: no task", "--on")


def _matching(
    known: dict[str, tuple[str, ...]], patterns: Sequence[str] | None, complaint: str, option: str
) -> list[str]:
    """Returns the names in `known` that have a word which fits one of `patterns`; all without patterns."""
    if patterns is None:
        return list(known)
    for pattern in patterns:
        if not any(_fits(words, pattern) for words in known.values()):
            raise UsageError(
                f"{option}: {complaint} matches {pattern!r}{did_you_mean(pattern, list(known))}; "
                "the sweep's name, if any, comes before the options"
            )
    return [name for name, words in known.items() if any(_fits(words, pattern) for pattern in patterns)]


def _fits(words: Iterable[str], pattern: str) -> bool:
    # A name is itself before it is a pattern: [0.9, 0.999] in one is no range of letters.
    return any(word == pattern or fnmatch.fnmatchcase(word, pattern) for word in words)
