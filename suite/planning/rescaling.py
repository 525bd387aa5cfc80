"""A sweep file at another scale than its own."""

from __future__ import annotations

import contextlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from optathlon import tasks
from optathlon.suite.errors import SweepError
from optathlon.suite.identity import task_of

EPOCHS = ("length", "every", "warmup", "cooldown", "milestones", "restore_best_at")
"""What counts the epochs or steps of a scale, in a protocol and in its schedule."""
HYPERPARAMETERS_IN_EPOCHS = ("switch",)
"""What counts the epochs of a scale among optimizers' hyperparameters: when adam_sgd changes from Adam to SGD."""
_SECTION = re.compile(r'\[+\s*override\.(?:"([^"]*)"|([\w-]+))')


def rescaled(path: Path, data: bytes, table: dict[str, Any], scale: str) -> bytes:
    """The file at `path`, whose bytes and table are given, at another scale, as "NAME-smoke".

    Lengths, schedules, points of return and hyperparameters that count epochs are as much longer or shorter as its
    first task is; what is overridden for one task, as that task is. SweepError if one of them, the name or the scale
    does not stand on a line of its own.
    """
    scales = (table.get("scale", "paper"), scale)
    factor = _factor(_first_task(table), *scales)
    of_task = {task: _factor(task, *scales) for task in table.get("override", {})}
    changes = {"name": f"{table.get('name', path.stem)}-{scale}", "scale": scale}
    expected = _stretched({**table, **changes}, factor)
    expected |= {"optimizer": [_stretched(block, factor) for block in table.get("optimizer", [])]}
    if of_task:
        expected |= {"override": {t: _stretched_override(c, of_task[t]) for t, c in table["override"].items()}}
    head, bracket, rest = data.decode("utf-8-sig").partition("\n[")
    kept = [line for line in head.splitlines() if line.partition("=")[0].strip() not in changes]
    lines = [*(f'{key} = "{value}"' for key, value in changes.items()), *kept, *f"{bracket[1:]}{rest}".splitlines()]
    with contextlib.suppress(tomllib.TOMLDecodeError):
        new = "\n".join(_lines(lines, factor, of_task)) + "\n"
        if tomllib.loads(new) == expected:
            return new.encode()
    what = "name, scale, and what counts epochs, must each stand on a line of their own"
    raise SweepError(f"{path}: --scale {scale}: {what}")


def _first_task(table: dict[str, Any]) -> str:
    """The first task of the file; "" where it names none, which is said later."""
    with contextlib.suppress(IndexError, TypeError, KeyError):
        first = str(table["tasks"][0])
        return tasks.names(first)[0] if "*" in first else first
    return ""


def _factor(task: str, old: str, new: str) -> float:
    """How much longer `task` is at the scale `new`; 1 of a task that is not known, which is said later."""
    with contextlib.suppress(tasks.TaskError):
        described = task_of(task)
        return described.protocol(new).length / described.protocol(old).length
    return 1.0


def _stretched(table: Any, factor: float) -> Any:
    """A table of the file with its protocol, and of its grid what counts epochs, stretched."""
    if not isinstance(table, dict):
        return table
    for word in {"fixed", "grid"} & table.keys():
        if isinstance(words := table[word], dict):
            words = {k: _times(v, factor) if k in HYPERPARAMETERS_IN_EPOCHS else v for k, v in words.items()}
            if isinstance(axis := words.get("protocol"), dict):
                words["protocol"] = _stretched_protocol(axis, factor)
            table = {**table, word: words}
    if not isinstance(protocol := table.get("protocol"), dict):
        return table
    return {**table, "protocol": _stretched_protocol(protocol, factor)}


def _stretched_override(changes: Any, factor: float) -> Any:
    """What a file overrides for one task: its protocol, and by label the grid and the protocol of an optimizer."""
    if not isinstance(changes, dict):
        return changes
    by_label = {key: value if key == "protocol" else _stretched(value, factor) for key, value in changes.items()}
    return _stretched(by_label, factor)


def _stretched_protocol(protocol: dict[str, Any], factor: float) -> dict[str, Any]:
    kept = {key: _times(value, factor) if key in EPOCHS else value for key, value in protocol.items()}
    if "schedule" in protocol:
        kept["schedule"] = _stretched_schedule(protocol["schedule"], factor)
    return kept


def _stretched_schedule(schedule: Any, factor: float) -> Any:
    """A schedule, or each of a list of them."""
    if isinstance(schedule, list):
        return [_stretched_schedule(each, factor) for each in schedule]
    if not isinstance(schedule, dict):
        return schedule
    return {key: _times(value, factor) if key in EPOCHS else value for key, value in schedule.items()}


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, list):
        return sorted({_times(item, factor) for item in value})
    if isinstance(value, bool) or not isinstance(value, int | float) or value == 0:
        return value
    return max(1, round(value * factor)) if isinstance(value, int) else round(value * factor, 6)


def _lines(lines: list[str], factor: float, of_task: dict[str, float]) -> Iterator[str]:
    """The lines of the file, stretched: by its task's factor what stands below `[override."TASK"]`."""
    task: str | None = None
    for line in lines:
        if line.startswith("["):
            section = _SECTION.match(line)
            task = (section[1] or section[2]) if section else None
        yield _line(line, factor) if task not in of_task else _line(line, of_task[task], _stretched_override)


def _line(line: str, factor: float, stretch: Callable[[Any, float], Any] = _stretched) -> str:
    """A line of the file that sets what counts epochs, stretched; any other as it is."""
    key = line.partition("=")[0].strip()
    try:
        table, place = tomllib.loads(line), tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:  # a comment, the head of a section, a part of a list
        return line
    if (value := stretch(table, factor)) == table:
        return line
    while isinstance(place, dict):
        ((part, place),) = place.items()
        value = value[part]
    return f"{key} = {_text(value)}"


def _text(value: Any) -> str:
    """A value as TOML writes it in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
