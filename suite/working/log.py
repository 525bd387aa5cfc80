"""A worker's lines in its log, and a run's output in the log of its attempt."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from optathlon.results.store.files import utc


def say(message: str) -> None:
    """Writes a line with the time to the log, which is standard error."""
    print(f"{utc()} {message}", file=sys.stderr, flush=True)


def redirect_output(path: Path) -> None:
    """Appends what this process prints from now on, also from C, to the file `path`; where it cannot be made (a full
    disk), it says so and goes on printing as before."""
    try:
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        say(f"{path}: {error.strerror}; what the run prints is found here")
        return
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
