"""What a sweep would run, what of it is done, and what the rest will cost. Writes nothing."""

from __future__ import annotations

import argparse
from collections import Counter

import msgspec

from optathlon.results import Store
from optathlon.results.analysis.resolution import DEVIATIONS, LookedRuns, Shown, looked_runs, resolutions
from optathlon.results.statistics.planner import POWER
from optathlon.suite.commands.launch import add_scale, hours
from optathlon.suite.console import add_data, add_json, add_store, print_json, say, show, table
from optathlon.suite.errors import USAGE, UsageError
from optathlon.suite.monitoring import budget, status
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", help="a sweep file, or the name of a built-in one")
    add_scale(parser)
    parser.add_argument(
        "--budget", type=hours, help="hours of one slot that the whole sweep may take; exit code 2 if more"
    )
    add_store(parser)
    add_data(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    sweep = sweep_reader.load(sweep_reader.find(args.sweep), args.scale)
    plan = expand(sweep, args.data)
    overview = status.overview(store, plan)
    allowed = sweep.budget if args.budget is None else args.budget
    due, cells = budget.bill(overview), _cells(overview)
    shown, runs = resolutions(plan, store.records(brief=True)), looked_runs(plan)
    if args.json:
        costs = {"spent": due.spent, "predicted": due.predicted, "unknown": due.unknown, "judged_by": due.bases}
        more = {"hours_left": None if due.unknown else due.predicted, "hours": {**costs, "budget": allowed}}
        more |= {"resolution": msgspec.to_builtins(shown), "looks": msgspec.to_builtins(runs)}
        print_json({"sweep": plan.head.name, "digest": plan.head.digest, "cells": cells, **more})
    else:
        _print(overview, due, cells)
        for line in [*_looks(runs), *_resolution(shown)]:
            say(line)
    if allowed is not None:
        try:
            budget.check(allowed, overview)
        except UsageError as error:
            say(str(error))
            return USAGE
        say(f"budget: {due.total:.3g} of {allowed:g} hours of one slot")
    return 0


def _cells(overview: status.Overview) -> list[dict]:
    settings: dict[status.Cell, set[str]] = {}
    for run in overview.plan.runs:
        settings.setdefault((run.row, run.column), set()).add(run.setting)
    costs: dict[status.Cell, list[float | None]] = {}
    for run in overview.todo:
        cost = overview.forecast.cost(run)
        costs.setdefault((run.row, run.column), []).append(cost.seconds and cost.seconds * cost.slots)
    for running in overview.running:
        slots = overview.forecast.cost(running.run).slots
        costs.setdefault((running.run.row, running.run.column), []).append(running.left and running.left * slots)
    cells = []
    for (row, column), counts in sorted(overview.cells.items(), key=lambda c: (c[0][1], c[0][0])):
        seconds = costs.get((row, column), [])
        known = [s for s in seconds if s is not None]
        done = counts["finished"] + counts["diverged"]
        cells.append(
            {
                "task": column,
                "row": row,
                "settings": len(settings[row, column]),
                "runs": counts.total(),
                "done": done,
                "failed": counts["failed"],
                "to_do": counts.total() - done - counts["failed"],
                "hours": sum(known) / 3600.0 if len(known) == len(seconds) else None,
            }
        )
    return cells


def _print(overview: status.Overview, due: budget.Bill, cells: list[dict]) -> None:
    head = [key.replace("_", " ") for key in cells[0]]
    rows = [[*list(c.values())[:-1], "?" if c["hours"] is None else _short(c["hours"])] for c in cells]
    show(table(rows, head))
    done = overview.counts["finished"] + overview.counts["diverged"]
    failed = f", {overview.counts['failed']} failed" if overview.counts["failed"] else ""
    say(f"{overview.plan.head.name}: {overview.total} runs, {done} done{failed}, {overview.left} to do")
    if overview.left:
        say(_forecast(overview, due))


def _forecast(overview: status.Overview, due: budget.Bill) -> str:
    """Says what the rest will cost, and what was measured to predict it."""
    if not due.bases:
        return "hours: unknown; nothing like these runs was measured in this store, a first finished run will tell"
    by = [f"{count} by the {basis}" for basis, count in due.bases.items()]
    where = f" on {', '.join(sorted(overview.forecast.devices))}" if overview.forecast.devices else ""
    missing = Counter(due.unknown).total()
    more = f", and {missing} runs of unknown cost ({', '.join(due.unknown)})" if missing else ""
    most = ", if every look is needed" if overview.later else ""
    return (
        f"hours: {_short(due.predicted)} of one slot{more}{most}; judged by what was measured{where}: {', '.join(by)}"
    )


def _looks(runs: LookedRuns | None) -> list[str]:
    """How many report runs a sweep with looks may come to."""
    if runs is None:
        return []
    return [
        f"looks at {', '.join(map(str, runs.looks))} seeds: at least {runs.least} report runs, about {runs.expected} "
        f"if every row differs from the baseline by {DEVIATIONS:g} seed deviations, at most {runs.most}"
    ]


def _resolution(shown: list[Shown]) -> list[str]:
    """What each task will be able to show, a line per task."""
    by_task: dict[str, list[Shown]] = {}
    for line in shown:
        by_task.setdefault(line.task, []).append(line)
    return [f"{task}: {_shown(lines)}" for task, lines in by_task.items()]


def _shown(lines: list[Shown]) -> str:
    first = lines[0]
    if first.deviation is None:
        return "what difference its seeds can show is unknown: no earlier runs of the task with two seeds of a setting"
    if first.seeds < 2:
        return "one seed shows no difference"
    unit = f" {first.unit}" if first.unit else ""
    differences = ", ".join(f"{line.difference:.3g}{unit} ({line.seeds} seeds)" for line in lines)
    which = "" if first.same_problem else " by another protocol or on other data"
    return (
        f"differences of {first.metric} are shown with {POWER:.0%} power from {differences} on; "
        f"{first.deviation:.3g}{unit} is the deviation of {first.runs} earlier runs{which}"
    )


def _short(hours: float) -> str:
    return f"{hours:.2g}" if hours < 10 else f"{hours:.0f}"
