"""Exit codes of a run's processes, and what they say."""

from __future__ import annotations

import signal

from optathlon.suite.errors import ENVIRONMENT, PREEMPTED

BUSY = 3


def _how(code: int) -> str:
    if code == BUSY:
        return "taken by another worker"
    if code == 75:
        return "stopped, will go on"
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}"
    return "ended" if code == 0 else f"failed with exit code {code}"


REFUSED = ENVIRONMENT


SILENT = 124  # the exit code of a process that had to be killed because it did not notice the end of the others


IN_ORDER = (0, PREEMPTED, BUSY, REFUSED)


def how(code: int) -> str:
    """In words how a process ended that exited with `code`."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    words = {0: "finished", PREEMPTED: "stopped", BUSY: "found the run taken", REFUSED: "refused it"}
    words[SILENT] = "did not answer and was killed"
    return words.get(code, f"failed with exit code {code}")
