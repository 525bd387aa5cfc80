"""All tasks together: ranks, profiles and who beats whom, over rows that have every task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from optathlon.results.analysis.learning_curves import Band
from optathlon.results.analysis.over_tasks import Overall, RowOverall
from optathlon.results.analysis.over_tasks import overall as aggregates
from optathlon.results.analysis.time_to_target import times
from optathlon.results.page.markup import Html, join, tag
from optathlon.results.page.names import breakable
from optathlon.results.page.rank_chart import rank_chart
from optathlon.results.page.report import Report
from optathlon.results.page.svg import Series, chart
from optathlon.results.page.words import count, figure, listed, probability
from optathlon.results.plots.profiles import Steps, area, score_gaps, score_steps, time_steps
from optathlon.results.statistics.improvement import probability_of_improvement

_LARGEST_MATRIX = 16


def overall(report: Report) -> Html:
    """The section's figures and tables; a sentence where nothing can be said."""
    totals = aggregates(report.board)
    if len(totals.tasks) < 2:
        return tag("p", "Nothing is said over tasks: there is only one.", class_="note")
    if len(totals.rows) < 2:
        return tag("p", "Nothing is said over tasks: fewer than two rows have them all.", class_="note")
    left_out = f"Left out, as they lack a task: {listed(totals.left_out)}." if totals.left_out else ""
    return join(
        [
            tag("p", left_out, class_="note") if left_out else None,
            _ranks(report, totals),
            _summary(report, totals),
            tag("div", _scores(report), _times(report), class_="figures"),
            _matrix(report),
        ]
    )


def _ranks(report: Report, totals: Overall) -> Html:
    """Mean ranks, best first, with bars beside those that the Nemenyi test does not tell apart."""
    friedman = ""
    if totals.friedman is not None and totals.critical_difference is not None:
        apart = "they do not all rank alike" if totals.friedman < totals.alpha else "no difference in rank is shown"
        friedman = (
            f" Friedman over {len(totals.tasks)} tasks: {probability(totals.friedman)}, {apart}. Bars join rows within "
            f"the critical difference {totals.critical_difference:.2f} (Nemenyi, {totals.alpha:g})."
        )
    among = f", among the {count(len(totals.rows), 'row')} with every task" if totals.left_out else ""
    caption = tag("figcaption", tag("b", "mean rank over tasks"), f" 1 is best{among}.", friedman)
    return tag("figure", caption, rank_chart(report, totals))


def _summary(report: Report, totals: Overall) -> Html | None:
    """Each row against the baseline over all tasks, as a table."""
    if totals.baseline is None or totals.baseline not in {row.name for row in totals.rows}:
        return None
    titles = (
        "optimizer", "mean rank", "standardized difference [95 %], ↑ better", "IQM [95 %], ↑ better",
        f"beats {totals.baseline}", "shown better, worse", "Wilcoxon",
    )  # fmt: skip
    head = tag("tr", *(tag("th", title, scope="col") for title in titles))
    body = []
    for row in totals.rows:
        base = row.name == totals.baseline
        ends = "" if row.iqm_low is None else f" [{figure(row.iqm_low, 2, '+')}, {figure(row.iqm_high, 2, '+')}]"
        chance = "" if row.improvement is None else f"{100 * row.improvement:.0f} %"
        wins = "baseline" if base else f"{row.wins}, {row.losses} of {len(totals.tasks)}"
        iqm, wilcoxon = figure(row.iqm, 2, "+") + ends, probability(row.wilcoxon_holm)
        cells = (figure(row.mean_rank, 2), _standardized(row), iqm, chance, wins, wilcoxon)
        lines = (tag("td", cell) for cell in cells)
        body.append(tag("tr", tag("th", breakable(row.name), scope="row"), *lines, data_row=report.number[row.name]))
    hidden = tag("caption", "Each row over all tasks", class_="hidden")
    table = tag("table", hidden, tag("thead", head), tag("tbody", *body), class_="matrix")
    some = "" if len(totals.scaled_on) == len(totals.tasks) else f", on {count(len(totals.scaled_on), 'task')} of them"
    least = next((row.wilcoxon_least for row in totals.rows if row.wilcoxon_least is not None), None)
    bound = "" if least is None else f", at least {min(1.0, least * (len(totals.rows) - 1)):.2g} with so few tasks"
    note = (
        f"Standardized: mean over tasks of the difference to {totals.baseline} in the task’s seed deviation, by a t "
        f"test over tasks, Holm over rows. IQM: interquartile mean of all runs, in pooled seed deviations above "
        f"{totals.baseline}{some}. Beats: how often a run beats one of {totals.baseline}. Wilcoxon: p over tasks, Holm "
        f"over rows{bound}; tasks that resemble each other are not as many observations as they seem."
    )
    region = tag("div", table, class_="scroll", role="region", tabindex=0, aria_label="rows over all tasks")
    return join([region, tag("p", note, class_="note")])


def _scores(report: Report) -> Html | None:
    """The share of runs within so many seed deviations of the best mean (a score profile, Agarwal et al. 2021)."""
    gaps, tasks = score_gaps(report.board)
    steps = {row: score_steps(of_row) for row, of_row in gaps.items()} if tasks else {}
    ends = [of_row[-1][0] for of_row in steps.values() if of_row]
    if not ends:
        return None
    span = (min(0.0, *(of_row[0][0] for of_row in steps.values() if of_row)), min(max(4.0, *ends), 20.0))
    left = len(report.board.on) - len(tasks)
    left_out = f" Left out: {count(left, 'task')} without spread over seeds." if left else ""
    title = "share of runs within τ seed deviations of the best mean"
    return _profile(
        report, title, f"left and up is better.{left_out}", steps, "τ (pooled deviations between seeds)", span
    )


def _times(report: Report) -> Html | None:
    """Dolan and Moré's profile of the time to where the baseline ends, with AlgoPerf's score."""
    profile = times(report.board, report.whole)
    steps = {row.name: time_steps(row.ratios) for row in profile.rows}
    if not profile.targets or not any(steps.values()):
        return None
    scores = ", ".join(f"{row.name} {row.score:.2f}" for row in profile.rows[:8])
    left_out = [name for name in profile.left_out if name in {column.label for column in report.board.columns}]
    left = f" Left out: {listed(left_out)}." if left_out else ""
    words = f"on {count(len(profile.targets), 'task')}. AlgoPerf’s score: {scores}.{left}"
    title = f"time to where {profile.baseline} ends"
    return _profile(report, title, words, steps, "times the fastest", (1.0, profile.r_max))


def _profile(
    report: Report, title: str, words: str, steps: Mapping[str, Steps], axis: str, span: tuple[float, float]
) -> Html:
    series = [
        Series(name=name, number=report.number[name], color=report.colors.get(name), band=_curve(of, span), area=False)
        # Most end at 1: their names stand in the order in which the lines rise.
        for name, of in sorted(steps.items(), key=lambda pair: -area(pair[1], span[1]))
    ]
    ends = ", ".join(f"{one.name} {100 * one.band.middle[-1]:.0f} %" for one in series)
    svg = chart(series, span, (0.0, 1.02), axis, f"{title}; at the right end: {ends}")
    return tag("figure", tag("figcaption", tag("b", title), " ", words), svg)


def _curve(steps: Steps, span: tuple[float, float]) -> Band:
    """A step function as a curve over `span`, with points only where it steps."""
    xs, shares = [span[0]], [0.0]
    for place, height in steps:
        if place <= span[1]:
            xs += [place, place]
            shares += [shares[-1], height]
    xs.append(span[1])
    shares.append(shares[-1])
    return Band(times=xs, middle=shares, low=shares, high=shares, seeds=1)


def _standardized(row: RowOverall) -> str:
    difference = row.standardized
    if difference is None:
        return ""
    ends = "" if difference.low is None else f" [{figure(difference.low, 2, '+')}, {figure(difference.high, 2, '+')}]"
    p = f", {probability(row.standardized_holm)}" if row.standardized_holm is not None else ""
    return f"{figure(difference.delta, 2, '+')}{ends}{p}"


def _matrix(report: Report) -> Html | None:
    """For each two rows the chance that a run of one beats a run of the other, as a table."""
    columns = [(index, c.higher_is_better) for index, c in enumerate(report.board.columns) if c.name in report.board.on]
    usable = [row for row in report.board.whole() if all(row.cells[index].comparable for index, _ in columns)]
    usable = sorted(usable, key=lambda row: row.mean_rank or math.inf)[:_LARGEST_MATRIX]
    if len(usable) < 2:
        return None
    finite = {row.name: [row.cells[index].finite for index, _ in columns] for row in usable}
    higher = [better for _, better in columns]
    names = [row.name for row in usable]
    head = tag(
        "tr", tag("th", "a run of", scope="col"), *(tag("th", "beats ", breakable(name), scope="col") for name in names)
    )
    body = [_chances(a, names, finite, higher) for a in names]
    caption = (
        "How often a run of one row beats one of another, ties counting half, mean over tasks (Agarwal et al. 2021)."
    )
    table = tag(
        "table", tag("caption", caption, class_="hidden"), tag("thead", head), tag("tbody", *body), class_="matrix"
    )
    region = tag("div", table, class_="scroll", role="region", tabindex=0, aria_label="probability of improvement")
    summary = tag("summary", "Who beats whom: probability of improvement")
    return tag("details", summary, tag("p", caption, class_="note"), region)


def _chances(a: str, names: Sequence[str], finite: Mapping[str, list[list[float]]], higher: Sequence[bool]) -> Html:
    cells = (
        "·" if a == b else f"{100 * probability_of_improvement(finite[a], finite[b], higher):.0f} %" for b in names
    )
    return tag("tr", tag("th", breakable(a), scope="row"), *(tag("td", cell) for cell in cells))
