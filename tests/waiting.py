"""Waiting for a condition, as tests do in place of sleeping: on a slow machine it takes longer, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds. Only a condition that never comes true takes so long, or a machine a hundred times slower than ours."""


def wait_for(condition: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Returns what `condition` returns once that is true; AssertionError if it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return value
