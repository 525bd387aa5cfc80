"""Which signals stop a run, and the flag that they set."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

STOPPED_BY = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)


class StopFlag:
    """Set by a signal in this process, never in a data worker; the training loop looks at it between updates."""

    def __init__(self) -> None:
        self.raised: signal.Signals | None = None
        self.pid = os.getpid()

    def __call__(self) -> bool:
        return self.raised is not None

    def catch(self, number: int, _: object) -> None:
        if os.getpid() == self.pid:
            self.raised = signal.Signals(number)


@contextlib.contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """A flag that SIGTERM, SIGINT and SIGUSR2 set while the block runs."""
    flag = StopFlag()
    before = {number: signal.signal(number, flag.catch) for number in STOPPED_BY}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPED_BY)  # who starts a process may block them until it listens
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
