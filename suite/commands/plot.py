"""Figures for papers, SVG, PDF or PNG: of a kind, or a sweep's own (optathlon plot adamp/figure-f2)."""

from __future__ import annotations

import argparse
import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from optathlon.results import Store, SweepResults
from optathlon.results.errors import TooLittle
from optathlon.results.sweep_results import shown_curves
from optathlon.suite.commands.shared import chosen_boards
from optathlon.suite.commands.summary import add_estimator, add_target, add_tolerance, check_tolerance, targets
from optathlon.suite.console import add_store, say
from optathlon.suite.errors import FAILED, OK, SweepError, UsageError, hint
from optathlon.suite.planning.sweep_reader import figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {
    "curves": "learning curves with bands over seeds; --metric, --difference",
    "profiles": "performance profiles (Dolan–Moré) of times to a target, or with --of scores of scores; --target",
    "ranks": "critical-difference diagram of mean ranks",
    "budget": "expected best of k settings tried; --estimator",
    "rate": "score against the learning rate, and the width of the good region; --tolerance",
    "differences": "differences to the baseline, task by task, with intervals; --intervals",
}
TOYS = {f"adamp/figure-{n.lower().replace('.', '')}": n for n in ("1", "3", "G.1", "G.2", "H.1")}
SUFFIXES = (".svg", ".pdf", ".png")
_ONLY = {"metric": "curves", "difference": "curves", "whole": "curves", "of": "profiles", "target": "profiles",
         "tolerance": "rate", "intervals": "differences", "estimator": "budget"}  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "kinds:\n" + "\n".join(f"  {kind:<12} {text}" for kind, text in KINDS.items())
    parser.add_argument("kind", metavar="KIND", help=f"{', '.join(KINDS)}; or a sweep whose file has a [figure]")
    chosen_boards.add_part(parser, "the store's only one")
    chosen_boards.add_on(parser)
    chosen_boards.add_highlight(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="a .svg, .pdf or .png (default: SWEEP-KIND.svg)")
    parser.add_argument("--metric", help="a recorded curve, such as train/loss (default: the headline, else its twin)")
    parser.add_argument("--difference", action="store_true", help="curves less the baseline's, seed by seed")
    parser.add_argument("--whole", action="store_true", help="curves from their first point on, whatever they span")
    parser.add_argument("--of", choices=("times", "scores"), default="times", help="what profiles are of")
    parser.add_argument(
        "--intervals",
        choices=("moderated", "dunnett"),
        default="moderated",
        help="each by itself, or all of a task together",
    )  # fmt: skip
    add_target(parser)
    add_tolerance(parser)
    add_estimator(parser)
    add_store(parser)


def main(args: argparse.Namespace) -> int:
    if args.kind in TOYS:
        return _toy(args)
    if args.kind not in KINDS:
        return _figure_of_sweep(args)
    _check(args)
    return _plot(args)


def _toy(args: argparse.Namespace) -> int:
    """Draws a figure that needs no run."""
    from optathlon.suite.commands import toys

    _check_output(args.output)
    numbers, curves = toys.computed([TOYS[args.kind]])
    path: Path | None = args.output
    if path is None:
        files = {name: Path(f"{name}.svg") for name in curves}
    elif len(curves) == 1:
        files = dict.fromkeys(curves, path)
    else:
        files = {name: path.with_stem(f"{path.stem}-{name}") for name in curves}
    return toys.show(numbers, toys.draw(curves, files))


def _figure_of_sweep(args: argparse.Namespace) -> int:
    """Draws the curves that a sweep's [figure] names, one file per curve."""
    if args.sweep is not None or args.metric:
        raise UsageError(f"{args.kind!r} is no kind of figure{hint(args.kind, KINDS)}")
    try:
        name, curves = figure_of(args.kind)
    except SweepError as error:
        raise UsageError(f"{args.kind!r} is neither a kind of figure nor a sweep with one: {error}") from None
    name = chosen_boards.stored_name(Store(args.store), name)
    for curve in curves:
        path = Path(f"{name}-{curve.replace('/', '-')}.svg")
        if args.output is not None:
            path = args.output.with_stem(f"{args.output.stem}-{curve.replace('/', '-')}")
        own = argparse.Namespace(
            **vars(args) | {"kind": "curves", "sweep": name, "metric": curve, "output": path, "whole": True}
        )
        _check(own)
        if code := _plot(own):
            return code
    return OK


def _plot(args: argparse.Namespace) -> int:
    store = Store(args.store)
    results = chosen_boards.single_sweep(store, args)
    path = args.output or Path(f"{results.plan.head.name}-{args.kind}.svg")
    from optathlon.results.plots.files import write

    try:
        draw = _drawing(args, store, results)
        with chosen_boards.writing("--output", path), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            write(draw, path)
    except TooLittle as error:
        say(f"optathlon: {error}")
        return FAILED
    if any("missing from font" in str(warning.message) for warning in warned):
        say("no font of matplotlib's has some characters of the names; they are boxes in the figure")
    say(f"written: {path}")
    return OK


def _check(args: argparse.Namespace) -> None:
    for option, kind in _ONLY.items():
        value = getattr(args, option)
        if value and value not in ("times", "moderated", "tang") and args.kind != kind:
            raise UsageError(f"--{option}: belongs to {kind}, not to {args.kind}")
    check_tolerance(args.tolerance)
    _check_output(args.output)


def _check_output(path: Path | None) -> None:
    if path is None:
        return
    if path.suffix not in SUFFIXES:
        raise UsageError(f"--output {path}: must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    chosen_boards.check_output("--output", path)


def _drawing(args: argparse.Namespace, store: Store, results: SweepResults) -> Callable[[], Figure]:
    """Computes what is to be drawn, which says at once what is missing, and returns the function that draws it."""
    draw = {
        "curves": _curves,
        "profiles": _profiles,
        "ranks": _ranks,
        "budget": _budget,
        "rate": _rate,
        "differences": _differences,
    }[args.kind](args, store, results)
    return functools.partial(draw, highlight=chosen_boards.highlighted(results, args.highlight))


def _curves(args: argparse.Namespace, store: Store, results: SweepResults) -> Callable[..., Figure]:
    from optathlon.results.plots import curves

    found = curves.task_curves(results.board, shown_curves(store, results.board), args.metric, args.difference)
    return functools.partial(curves.draw, results.board, found, args.difference, whole=args.whole)


def _profiles(args: argparse.Namespace, store: Store, results: SweepResults) -> Callable[..., Figure]:
    from optathlon.results.analysis.time_to_target import times
    from optathlon.results.plots import profiles

    if args.of == "scores":
        return functools.partial(profiles.draw_scores, results.board)
    found = times(results.board, shown_curves(store, results.board), targets(results, args.target))
    return functools.partial(profiles.draw_times, results.board, found)


def _ranks(args: argparse.Namespace, store: Store, results: SweepResults) -> Callable[..., Figure]:
    from optathlon.results.analysis.over_tasks import overall
    from optathlon.results.plots import ranks

    found = overall(results.board)
    return functools.partial(ranks.draw, results.board, found)


def _budget(args: argparse.Namespace, store: Store, results: SweepResults) -> Callable[..., Figure]:
    from optathlon.results.analysis.tuning import budgets
    from optathlon.results.plots import budget

    found = budgets(results, args.estimator)
    return functools.partial(budget.draw, results.board, found)


def _rate(args: argparse.Namespace, store: Store, results: SweepResults) -> Callable[..., Figure]:
    from optathlon.results.analysis.tuning import rates
    from optathlon.results.plots import rate

    found = rates(results, args.tolerance)
    return functools.partial(rate.draw, results.board, found)


def _differences(args: argparse.Namespace, store: Store, results: SweepResults) -> Callable[..., Figure]:
    from optathlon.results.analysis.against_baseline import against
    from optathlon.results.plots import differences

    found = against(results.board)
    return functools.partial(differences.draw, results.board, found, args.intervals)
