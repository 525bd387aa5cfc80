"""Waiting for a condition, as tests do in place of sleeping: on a slow machine it takes longer, and nothing else.

What another process writes is there in part before it is there: a file without its content, a line without its end, the
first of several files. So a test waits for all of what it then reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 900.0
"""Seconds. Only a condition that never comes true takes so long."""


def wait_for(condition: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Returns what `condition` returns once that is true; AssertionError if it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return value


def wait_for_line(file: Path, words: str) -> str:
    """Returns the first whole line with `words` in it that a process writes to `file`, which need not be there yet."""

    def line() -> str:
        written = file.read_text().splitlines(keepends=True) if file.exists() else []
        return next((line for line in written if words in line and line.endswith("\n")), "")

    return wait_for(line)
