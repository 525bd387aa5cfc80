"""The exit codes of a run's processes, and what each of them says."""

from __future__ import annotations

import signal

from optathlon.slurm.signals import PREEMPTED
from optathlon.suite.errors import ENVIRONMENT, FAILED, INTERRUPTED, OK

BUSY = 3
"""Another worker has claimed the run; this process made no attempt."""

REFUSED = ENVIRONMENT
"""The run must not be carried out here, or cannot be claimed; this process made no attempt."""

SILENT = 124
"""Not a process's own: it had to be killed, as it did not notice that the others of its run were over."""

IN_ORDER = (OK, PREEMPTED, INTERRUPTED, BUSY, REFUSED)
"""What a process that says itself how its attempt ended exits with."""

_WORDS = {
    OK: "finished",
    PREEMPTED: "stopped, and will go on",
    INTERRUPTED: "interrupted while it waited for the others",
    BUSY: "found the run taken",
    REFUSED: "refused the run",
    SILENT: "did not answer and was killed",
}


def describe(code: int) -> str:
    """Says as a verb how a process ended that exited with `code`, negative for a signal: "was killed by SIGKILL"."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return _WORDS.get(code, f"failed with exit code {code}")


def exit_code_of(kind: str) -> int:
    """Returns the exit code for how an attempt ended, as in Ended.kind."""
    return {"finished": OK, "diverged": OK, "fenced": OK, "stopped": PREEMPTED}.get(kind, FAILED)
