"""A worker's lines in its log, and a run's output in the log of its attempt."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from optathlon.results.store.files import utc

_before_redirection: list[int] = []
"""Standard error as it was: the worker's, of the process that it forked."""


def say(message: str) -> None:
    """Writes a line with the time to the log, which is standard error.

    Where that log has no room (a full disk), the line goes where this process printed before; no worker ends for it.
    """
    line = f"{utc()} {message}"
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        for descriptor in _before_redirection:
            with contextlib.suppress(OSError):
                os.write(descriptor, f"{line}\n".encode(errors="backslashreplace"))


def redirect_output(path: Path) -> None:
    """Appends what this process prints from now on, also from C, to the file `path`; where it cannot be made (a full
    disk), it says so and goes on printing as before."""
    try:
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o666)  # waits for no pipe
    except OSError as error:
        say(f"{path}: {error.strerror}; what the run prints is found here")
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    _before_redirection[:] = [os.dup(2)]
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
