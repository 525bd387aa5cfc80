"""Two rows of a sweep's board: task by task, and what they prove together."""

from __future__ import annotations

import argparse

import msgspec

from optathlon.results import Store, load_results
from optathlon.results.analysis.row_comparison import Comparison, OnTask, compare
from optathlon.results.hyperparameter_text import short
from optathlon.results.statistics.difference import Difference
from optathlon.results.text.wording import METHOD
from optathlon.suite.commands.shared import chosen_boards
from optathlon.suite.console import add_json, add_store, print_json, show, table
from optathlon.suite.errors import FAILED, OK, UsageError
from optathlon.tasks.errors import did_you_mean


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", help="a row, as the leaderboard names it")
    parser.add_argument("b", help="the row it is compared with")
    parser.add_argument("sweep", nargs="?", help="a launched sweep's name or file (default: all that have both rows)")
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    shown = [load_results(store, plan).board for plan in chosen_boards.plans(store, args.sweep)]
    chosen_boards.tell_problems(store)
    if not shown:
        raise UsageError(f"{store.root} has no sweep yet; launch one")
    for name in (args.a, args.b):
        rows = {row.name for board in shown for row in board.rows}
        if name not in rows:
            raise UsageError(f"no row {name!r}{did_you_mean(name, sorted(rows))}; `optathlon leaderboard` shows them")
    both = [board for board in shown if {args.a, args.b} <= {row.name for row in board.rows}]
    comparisons = [compare(board, args.a, args.b) for board in both]
    if not comparisons:
        raise UsageError(f"no sweep has both rows {args.a!r} and {args.b!r}")
    if args.json:
        print_json({"comparisons": [msgspec.to_builtins(each) for each in comparisons]})
    else:
        show("\n\n".join(map(_text, comparisons)))
    return OK if any(task.welch for each in comparisons for task in each.tasks) else FAILED


_HEAD = (
    "task",
    "better",
    "delta",
    "95 % interval",
    "p",
    "p (Holm)",
    "seeds",
    "paired p",
    "flips p",
    "P(better)",
    "verdict",
)


def _text(comparison: Comparison) -> str:
    lines = [
        f"{comparison.board}: {comparison.a} less {comparison.b}",
        "",
        table([_row(comparison, task) for task in comparison.tasks], _HEAD),
        "",
    ]
    for task in comparison.tasks:
        if task.settings:
            pairs = ", ".join(f"{key} {short(a)} / {short(b)}" for key, (a, b) in task.settings.items())
            lines.append(f"settings on {task.task}: {pairs}")
    if any(t.smallest_flips is not None and t.smallest_flips >= comparison.alpha for t in comparison.tasks):
        lines.append("flips: with fewer than 6 common seeds the sign-flip test can never be significant")
    compared = sum(task.welch is not None for task in comparison.tasks)
    lines.append(
        f"{comparison.a} is shown to be better on {comparison.wins} and worse on {comparison.losses} of {compared} "
        f"tasks ({METHOD})"
    )
    if comparison.looks:
        lines.append(
            f"looks at {', '.join(map(str, comparison.looks))} seeds: p is here as of seeds planned at once; what the "
            "looks decide, the board marks"
        )
    if (mean := comparison.standardized) and mean.low is not None and mean.high is not None:
        lines.append(
            f"over tasks, mean difference in seed deviations, better is positive: {mean.delta:+.2f} "
            f"({mean.low:+.2f} to {mean.high:+.2f}), p = {mean.p:.3g}"
        )
    if comparison.wilcoxon is not None and compared > 1:
        least = f", at least {comparison.wilcoxon_least:.3g} with so many tasks"
        lines.append(f"over tasks, Wilcoxon in {comparison.scale}: p = {comparison.wilcoxon:.3g}{least}")
    if comparison.improvement is not None:
        lines.append(
            f"probability that a run of {comparison.a} beats one of {comparison.b}: {comparison.improvement:.2f}"
        )
    return "\n".join(lines)


def _row(comparison: Comparison, task: OnTask) -> tuple[str, ...]:
    names = {"a": f"{comparison.a} better", "b": f"{comparison.b} better"}
    verdict = names.get(task.verdict, task.verdict)
    better = "↑" if task.higher_is_better else "↓"
    if task.welch is None:
        return (task.task, better, *("-" for _ in _HEAD[3:]), verdict)
    d = task.difference or Difference(delta=task.welch.delta)
    interval = "-" if d.low is None or d.high is None else f"{d.low:+.{task.digits}f} to {d.high:+.{task.digits}f}"
    return (
        task.task,
        better,
        f"{d.delta:+.{task.digits}f}",
        interval,
        _p(d.p),
        _p(task.p_holm),
        str(task.seeds),
        _p(task.paired.p if task.paired else None),
        _p(task.flips),
        "-" if task.improvement is None else f"{task.improvement:.2f}",
        verdict,
    )


def _p(p: float | None) -> str:
    return "-" if p is None else f"{p:.3g}"
