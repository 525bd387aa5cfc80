"""What the GPU kit writes: report.json and report.md, and each part's whole output."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gpu_kit.goals import GOALS, Seen, evaluate

FAILED, CANNOT_BEGIN, UNFINISHED, NO_GPU = 1, 2, 3, 5
"""Exit codes, beside 0 where all parts passed."""
OUTCOMES = {"failed": FAILED, "out of time": UNFINISHED, "stopped": UNFINISHED, "not begun": UNFINISHED, "passed": 0}
"""The exit code for a part of each outcome, the worst first."""
LINES, LINES_OF_FAILED = 40, 300
"""Of a part's output, how many stand in report.md: its last ones."""
_OF_A_RUN = ("report.md", "report.json", "logs", "store", *{goal.saved for goal in GOALS})


class Result(NamedTuple):
    """How a part ended."""

    name: str
    outcome: str
    """One of OUTCOMES; of what failed also the exit code: "failed (2)"."""
    seconds: float = 0.0
    output: str = ""

    @property
    def begun(self) -> bool:
        return self.outcome != "not begun"


def verdict(results: Sequence[Result]) -> tuple[int, list[str]]:
    """Returns the exit code, and a line for each kind of outcome that names its parts."""
    lines, code = [], 0
    for outcome, of_outcome in OUTCOMES.items():
        if names := [result.name for result in results if result.outcome.startswith(outcome)]:
            lines.append(f"{outcome}: {len(names)} of {len(results)}: {', '.join(names)}")
            code = code or of_outcome
    return code, lines


def set_aside(folder: Path) -> Path | None:
    """Moves what an earlier check left in `folder` into a folder of its own there, which is returned if there was any.

    So each check carries out all its parts anew, and nothing that one has measured is lost. Miniatures stay.
    """
    left = [folder / name for name in _OF_A_RUN if (folder / name).exists()]
    if not left:
        return None
    number = next(n for n in range(1, 10**6) if not (folder / f"earlier-{n}").exists())
    (earlier := folder / f"earlier-{number}").mkdir()
    for path in left:
        path.rename(earlier / path.name)
    return earlier


def write(folder: Path, head: dict[str, Any], results: Sequence[Result]) -> None:
    """Writes both reports, and the output of the last part that ended."""
    goals = evaluate(folder) if any((folder / goal.saved).exists() for goal in GOALS) else []
    (folder / "logs").mkdir(exist_ok=True)
    if results[-1].begun:
        _replace(folder / "logs" / log_name(results[-1].name), results[-1].output)
    rows = [{"goal": s.goal.what, "bound": f"{s.goal.bound} {s.goal.value:g} {s.goal.unit}", "seen": s.value,
             "outcome": s.outcome} for s in goals]  # fmt: skip
    document = {**head, "goals": rows, "parts": [result._asdict() for result in results]}
    _replace(folder / "report.json", json.dumps(document, indent=1) + "\n")
    _replace(folder / "report.md", "\n".join(markdown(head, goals, results)) + "\n")


def markdown(head: dict[str, Any], goals: Sequence[Seen], results: Sequence[Result]) -> list[str]:
    """Returns the lines of report.md: the parts' outcomes, the goals, and the end of what each part said."""
    lines = [f"# {head['card']}, torch {head['torch']}, {head['date']}", "", *verdict(results)[1], ""]
    lines += [f"Not installed here, so that parts which need it fail: {name}." for name in head["missing"]]
    if goals:
        on_cpu = "" if head["device"] == "cuda" else " They are a GPU's, and this is none."
        lines += ["## Goals", "", f"Measured by the parts below.{on_cpu}", ""]
        lines += ["| goal | bound | seen | |", "|---|---|---|---|", *map(_goal_line, goals), ""]
    lines += ["## Parts", "", "| part | outcome | seconds |", "|---|---|---|"]
    lines += [f"| {result.name} | {result.outcome} | {result.seconds} |" for result in results]
    for result in results:
        if result.begun:
            lines += ["", f"### {result.name}: {result.outcome}", "", *_end_of(result)]
    return lines


def _goal_line(seen: Seen) -> str:
    goal = seen.goal
    value = "" if seen.value is None else f"{seen.value:.3g} {goal.unit}"
    return f"| {goal.what} | {goal.bound} {goal.value:g} {goal.unit} | {value} | {seen.outcome} |"


def _end_of(result: Result) -> list[str]:
    output = result.output.splitlines()
    last = output[-(LINES if result.outcome == "passed" else LINES_OF_FAILED) :]
    more = [f"The last {len(last)} of {len(output)} lines; all are in `logs/{log_name(result.name)}`.", ""]
    # Longer than any fence in the output itself.
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`{3,}", result.output))])
    return [*(more if len(last) < len(output) else []), fence, *last, fence]


def log_name(part: str) -> str:
    """Returns the name of the file of a part's output: "smoke-run-of-mtat.txt"."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", part) + ".txt"


def _replace(path: Path, text: str) -> None:
    """Writes a file so that whoever reads meanwhile has it whole, this one or the one before."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
