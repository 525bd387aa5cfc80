"""Which signals stop a run, and the flag that they set: the run saves after the update it is at, and ends."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from optathlon.suite.training.waiting import STOPPED_BY


def listened_to() -> tuple[signal.Signals, ...]:
    """Those of STOPPED_BY that this process may hear: `nohup` has SIGHUP ignored."""
    return tuple(n for n in STOPPED_BY if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN)


class StopFlag:
    """Set by a signal in this process, never in a data worker; the training loop looks at it between updates."""

    def __init__(self) -> None:
        self.raised: signal.Signals | None = None
        self.pid = os.getpid()

    def __call__(self) -> bool:
        return self.raised is not None

    def catch(self, number: int, _: object) -> None:
        # Data workers are forked with this handler in place; a signal to one of them is not the run's.
        if os.getpid() == self.pid:
            self.raised = signal.Signals(number)


@contextlib.contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """Yields a flag that each signal of STOPPED_BY sets while the block runs."""
    flag = StopFlag()
    before = {number: signal.signal(number, flag.catch) for number in listened_to()}
    # slurm.step and `fork` block them until somebody listens, so that none is lost or kills a process that starts.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPED_BY)
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
