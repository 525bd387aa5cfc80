"""What a sweep says over all its tasks: ranks, scores, times to a target, tuning budgets, good rates."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from optathlon.results import Store, SweepResults
from optathlon.results.analysis.against_baseline import Against, against
from optathlon.results.analysis.over_tasks import Overall, RowOverall, overall
from optathlon.results.analysis.time_to_target import Times, times
from optathlon.results.analysis.tuning import SOURCES, Budget, Rates, budgets, rates
from optathlon.results.sweep_results import shown_curves
from optathlon.results.text.wording import METHOD
from optathlon.suite.commands.shared import chosen_boards
from optathlon.suite.console import add_json, add_store, print_json, show, table
from optathlon.suite.errors import UsageError
from optathlon.tasks.errors import did_you_mean

SECTIONS = ("overall", "differences", "times", "budget", "rate")


def configure(parser: argparse.ArgumentParser) -> None:
    chosen_boards.add_part(parser)
    chosen_boards.add_on(parser)
    parser.add_argument("--section", nargs="+", choices=SECTIONS, default=SECTIONS, help="only these")
    add_target(parser)
    add_tolerance(parser)
    add_estimator(parser)
    add_store(parser)
    add_json(parser)


def add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target", nargs="+", default=[], metavar="TASK=SCORE",
        help="what is to be reached (default: what most seeds of the row that ends worst end with)",
    )  # fmt: skip


def add_tolerance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tolerance", type=float, metavar="SCORE",
        help="how far from the best a rate may be and still be good (default: twice the deviation between seeds)",
    )  # fmt: skip


def add_estimator(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--estimator", choices=SOURCES, default="tang", help="of budgets: without (tang) or with replacement (dodge)"
    )


def check_tolerance(tolerance: float | None) -> None:
    if tolerance is not None and not 0 <= tolerance < math.inf:
        raise UsageError(f"--tolerance {tolerance}: must be a number of at least 0")


def targets(results: SweepResults, words: Sequence[str]) -> dict[str, float]:
    """Reads `words`, TASK=SCORE each, as the score to reach per task; UsageError for a word that cannot be read."""
    known = [column.name for column in results.plan.head.columns]
    scores = {}
    for word in words:
        name, _, score = word.partition("=")
        if name not in known:
            raise UsageError(
                f"--target {word}: {results.plan.head.name} has no task {name!r}{did_you_mean(name, known)}"
            )
        with contextlib.suppress(ValueError):
            scores[name] = float(score)
        if not math.isfinite(scores.get(name, math.nan)):
            raise UsageError(f"--target {word}: must be TASK=SCORE with a number, such as {name}=70.5")
    return scores


def main(args: argparse.Namespace) -> int:
    check_tolerance(args.tolerance)
    store = Store(args.store)
    all_results = chosen_boards.sweep_results(store, args)
    if not all_results:
        raise UsageError(f"{store.root} has no sweep yet; launch one")
    sections = [{name: _section(name, store, results, args) for name in args.section} for results in all_results]
    if args.json:
        print_json({"sweeps": {results.plan.head.name: msgspec.to_builtins(by_name, str_keys=True)
                               for results, by_name in zip(all_results, sections, strict=True)}})  # fmt: skip
    else:
        parts = [
            _TEXTS[name](results, part)
            for results, by_name in zip(all_results, sections, strict=True)
            for name, part in by_name.items()
        ]
        show("\n\n".join(parts))
    return 0


def _section(name: str, store: Store, results: SweepResults, args: argparse.Namespace) -> Any:
    if name == "overall":
        return overall(results.board)
    if name == "differences":
        return against(results.board)
    if name == "times":
        return times(results.board, shown_curves(store, results.board), targets(results, args.target))
    return budgets(results, args.estimator) if name == "budget" else rates(results, args.tolerance)


def _is_compared(row: RowOverall, combined: Overall) -> bool:
    """Whether `row` stands beside the baseline, which may itself lack a task."""
    return row.name != combined.baseline and any(other.name == combined.baseline for other in combined.rows)


def _overall(results: SweepResults, combined: Overall) -> str:
    name, over = combined.board, f"over {len(combined.tasks)} task{'s' * (len(combined.tasks) != 1)}"
    if not combined.rows:
        return f"{name}, {over}: no row has them all" + ("; see --on" if combined.left_out else "")
    head = (
        "row", "mean rank", "standardized ↑", "95 % interval", "p (Holm)", "IQM ↑", "95 % interval", "P(better)", "won",
        "lost", "tied", "Wilcoxon p (Holm)",
    )  # fmt: skip
    rows = [
        (
            row.name,
            f"{row.mean_rank:.2f}",
            _number(row.standardized and row.standardized.delta, "+.2f"),
            _interval(row.standardized and row.standardized.low, row.standardized and row.standardized.high, 2),
            _number(row.standardized_holm, ".3g"),
            _number(row.iqm, "+.2f"),
            _interval(row.iqm_low, row.iqm_high, 2),
            _number(row.improvement, ".2f"),
            *((row.wins, row.losses, row.ties) if _is_compared(row, combined) else "---"),
            _number(row.wilcoxon_holm, ".3g"),
        )
        for row in combined.rows
    ]
    lines = [f"{name}, {over}", "", table(rows, head), ""]
    if combined.friedman is not None and combined.critical_difference is not None:
        lines.append(
            f"Friedman's test that all rank alike: p = {combined.friedman:.3g}; ranks differ from "
            f"{combined.critical_difference:.2f} on (Nemenyi, {combined.alpha:g})"
        )
        lines += [f"not told apart: {', '.join(group)}" for group in combined.cliques]
    if combined.scaled_on:
        some = "" if len(combined.scaled_on) == len(combined.tasks) else f", on {', '.join(combined.scaled_on)}"
        lines.append(
            f"IQM: the middle half of all runs, in pooled seed deviations above {combined.baseline}'s mean{some}, with "
            "a bootstrap of runs, baseline and unit"
        )
    if combined.baseline is not None:
        lines += _over_tasks(combined)
    if combined.left_out:
        lines.append(f"left out, as they lack a task: {', '.join(combined.left_out)}")
    return "\n".join(lines)


def _over_tasks(combined: Overall) -> list[str]:
    least = next((row.wilcoxon_least for row in combined.rows if row.wilcoxon_least is not None), None)
    others = sum(row.name != combined.baseline for row in combined.rows)
    bound = "" if least is None else f"; with so many tasks and rows its p is {min(1.0, least * others):.3g} at least"
    return [
        f"standardized: mean over tasks of the difference to {combined.baseline} in the task's seed deviation, by a t "
        f"test over tasks like these, Holm over the rows; Wilcoxon likewise{bound}",
        f"P(better): the chance that a run beats one of {combined.baseline}; won and lost: tasks on which a row is "
        "shown to differ by the board's marks",
    ]


def _differences(results: SweepResults, comparisons: Sequence[Against]) -> str:
    title = f"{results.board.name}, differences to {results.board.baseline}"
    if not comparisons:
        return f"{title}: there is nothing complete to compare"
    head = ("task", "better", "row", "difference", "95 %", "p", "p (Holm)", "Dunnett 95 %", "Dunnett p")
    rows = []
    for comparison in comparisons:
        delta, together = f"{comparison.delta:+.{comparison.digits}f}", comparison.dunnett
        rows.append(
            (
                comparison.task,
                "↑" if comparison.higher_is_better else "↓",
                comparison.row,
                delta,
                _interval(comparison.low, comparison.high, comparison.digits),
                _number(comparison.p, ".3g"),
                _number(comparison.p_holm, ".3g"),
                _interval(together.low, together.high, comparison.digits) if together else "-",
                _number(together.p if together else None, ".3g"),
            )
        )
    note = (
        f"p by the {METHOD}, Holm over the whole plan; Dunnett's intervals and p hold for all rows of one task "
        "together, with one deviation for all"
    )
    unequal = dict.fromkeys(comparison.task for comparison in comparisons if comparison.unequal)
    if unequal:
        note += f", which their spreads contradict on {', '.join(unequal)}: there they are not to be relied on"
    if results.board.looks:
        note += "; p and interval are of the looks that are over, Dunnett's are as of seeds planned at once"
    return "\n".join([title, "", table(rows, head), "", note])


def _times(results: SweepResults, race: Times) -> str:
    title = f"{race.board}, time to target"
    if not race.rows or not race.targets:
        return "\n".join([f"{title}: there is none", *_left_out(race)])
    head = ("row", *(target.task for target in race.targets), "AlgoPerf score", "speed-up")
    rows = [
        (row.name, *(_number(t, ".4g", "never") for t in row.times), f"{row.score:.3f}", _number(row.speed_up, ".2f"))
        for row in race.rows
    ]
    lines = [title, "", table(rows, head), ""]
    for target in race.targets:
        lines.append(f"{target.task}: {target.curve} of {target.value:.4g}, in {target.unit}")
    lines.append(
        f"time: the median over seeds; score: the area under the profile from 1 to {race.r_max:g} times the fastest"
        + (f"; speed-up: geometric mean over {race.baseline}" if race.baseline else "")
    )
    return "\n".join([*lines, *_left_out(race)])


def _left_out(race: Times) -> list[str]:
    return [f"left out: {name}: {why}" for name, why in race.left_out.items()]


def _budget(results: SweepResults, budgets_by_row: Sequence[Budget]) -> str:
    title = f"{results.board.name}, tuning budget"
    if not budgets_by_row:
        return f"{title}: needs tuning seeds, and several settings whose tuning is complete"
    head = ("task", "row", "score", "settings", "k = 1", "k = 2", "k = 4", "k = 8", "k = 16", "all", "tunability")
    rows = []
    for budget in budgets_by_row:
        best_of = [f"{budget.best[k - 1]:.4g}" if k <= len(budget.best) else "" for k in (1, 2, 4, 8, 16)]
        rows.append(
            (
                budget.task,
                budget.row,
                budget.metric,
                len(budget.best),
                *best_of,
                f"{budget.best[-1]:.4g}",
                f"{budget.tunability:.4g}",
            )
        )
    source = SOURCES[budgets_by_row[0].estimator]
    note = f"k: what the best of k settings, drawn at random from those tried, is expected to reach ({source})"
    lost = [f"{e.row} on {e.task}: {e.diverged} that diverged count as the worst" for e in budgets_by_row if e.diverged]
    return "\n".join([title, "", table(rows, head), "", note, *lost])


def _rate(results: SweepResults, rates_by_row: Sequence[Rates]) -> str:
    title = f"{results.board.name}, good rates"
    if not rates_by_row:
        return f"{title}: needs a sweep over lr"
    head = ("task", "row", "score", "rates", "best", "good from", "to", "decades", "tolerance")
    rows = []
    for good in rates_by_row:
        region, count = good.region, len(good.scores)
        if region is None:
            why = "no seed deviation" if good.tolerance is None else "all diverged"
            rows.append((good.task, good.row, good.metric, count, "-", "-", "-", "-", why))
            continue
        low, high = f"{region.low:.3g}{'…' * region.open_low}", f"{region.high:.3g}{'…' * region.open_high}"
        least = "≥ " * (region.open_low or region.open_high)
        width = f"{least}{region.decades:.2f}"
        how = (f"{region.best:g}", low, high, width, f"{good.tolerance:.3g}")
        rows.append((good.task, good.row, good.metric, count, *how))
    notes = ["…: the rates tried end before the good region does"]
    if any(good.tolerance is None for good in rates_by_row):
        notes.append("without two seeds of one setting, --tolerance must say what is good")
    return "\n".join([title, "", table(rows, head), "", *notes])


_TEXTS = {"overall": _overall, "differences": _differences, "times": _times, "budget": _budget, "rate": _rate}


def _interval(low: float | None, high: float | None, digits: int) -> str:
    return "-" if low is None or high is None else f"{low:+.{digits}f} to {high:+.{digits}f}"


def _number(value: float | None, how: str, missing: str = "-") -> str:
    return missing if value is None else format(value, how)
