"""List tasks, optimizers, sweeps or data sets; an optional wildcard narrows the list."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from typing import Any

from optathlon.results.text.columns import cells
from optathlon.suite.console import add_data, add_json, columns, print_json, show, table

KINDS = ("tasks", "optimizers", "sweeps", "datasets")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", choices=KINDS, help="without it, what can be listed")
    parser.add_argument("pattern", nargs="?", default="*", help='a wildcard, "biased-*"')
    add_data(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    if args.what is None:
        return _kinds(args)
    rows = [row for row in _ROWS[args.what](args) if fnmatch.fnmatchcase(row["name"], args.pattern)]
    if args.json:
        print_json({args.what: rows})
    elif rows:
        show(_text(rows))
    return 0


def _kinds(args: argparse.Namespace) -> int:
    """Lists what can be listed, and how many of each there are."""
    counts = {kind: len(_ROWS[kind](args)) for kind in KINDS}
    if args.json:
        print_json({"kinds": counts})
    else:
        show(table([(f"optathlon list {kind}", count) for kind, count in counts.items()], ("command", "there are")))
    return 0


def _text(rows: list[dict[str, Any]]) -> str:
    """Lays rows out as a table; where the terminal is too narrow, one entry per row: names above prose."""
    lines = [[_first_sentence(str(value)) for value in row.values()] for row in rows]
    text = table(lines, list(rows[0]), wrap=False)
    width = columns(sys.stdout)
    if width is None or max(map(cells, text.split("\n"))) <= width:
        return text
    entries = [(" · ".join(word for word in names if word != "-"), prose) for *names, prose in lines]
    return "\n".join(f"{names}\n    {prose}" if prose else names for names, prose in entries)


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0]


def _tasks(_: argparse.Namespace) -> list[dict[str, Any]]:
    from optathlon import tasks

    found = [tasks.task(name) for name in tasks.names()]
    return [{"name": t.name, "family": t.family, "metric": _metric(t), "summary": t.summary} for t in found]


def _metric(task: Any) -> str:
    metric = task.metrics[0]
    return f"{metric.name}{' ' if metric.unit else ''}{metric.unit} {'↑' if metric.higher_is_better else '↓'}"


def _optimizers(_: argparse.Namespace) -> list[dict[str, Any]]:
    from optathlon import optimizers

    found = [optimizers.optimizer(name) for name in optimizers.names()]
    return [{"name": o.name, "baseline": o.baseline or "-", "summary": o.summary} for o in found]


def _sweeps(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The built-in sweeps, each with its scale and what all its runs come to there."""
    import tomllib

    from optathlon.suite.planning import sweep_reader
    from optathlon.suite.planning.sweep_size import size

    rows = []
    for name in fnmatch.filter(sweep_reader.built_in(), args.pattern):
        table, row = tomllib.loads(sweep_reader.find(name).read_text(encoding="utf-8")), {"name": name}
        if args.what == "sweeps":  # to count sweeps, none need be read
            cost = size(sweep_reader.load(sweep_reader.find(name)))
            row |= {"scale": table.get("scale", "paper"), "runs": cost.runs, "in all": str(cost)}
        rows.append(row | {"summary": table.get("summary", "")})
    return rows


def _datasets(args: argparse.Namespace) -> list[dict[str, Any]]:
    from optathlon import tasks
    from optathlon.tasks.data.dataset import manifest

    rows = []
    for name in tasks.dataset_paths():
        prepared, described = manifest(args.data, name), tasks.dataset(name)
        rows.append(
            {
                "name": name,
                "edition": prepared.edition if prepared else "-",
                "title": described.title,
                "licence": described.licence,
            }
        )
    return rows


_ROWS = {"tasks": _tasks, "optimizers": _optimizers, "sweeps": _sweeps, "datasets": _datasets}
