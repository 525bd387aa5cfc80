"""Forks a run's processes, waits for them, and stops those that are left when one is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence

from optathlon.suite.errors import FAILED
from optathlon.suite.working import memory_kills
from optathlon.suite.working.exit_codes import IN_ORDER, SILENT
from optathlon.suite.working.signals import STOPPED_BY, StopFlag, stop_flag

GRACE_SECONDS = 30.0
"""How long the processes of a run have to notice that another one failed, and to write it down."""

POLL_SECONDS = 0.05
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def fork(act: Callable[[StopFlag], int]) -> int:
    """Forks a child that exits with what `act` returns, FAILED if that raises; returns the child's pid.

    The signals of STOPPED_BY and the end of this process set the child's flag. Short of memory, the kernel kills the
    child before this process, which can tell of it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    # A signal that comes before the child listens waits until it does.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPED_BY)
    if pid := os.fork():
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid
    code = FAILED
    try:
        with stop_flag() as flag:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it ended before the line above could take effect
                flag.raised = signal.SIGTERM
            memory_kills.die_first()
            code = act(flag)
    except BaseException:
        traceback.print_exc()
    finally:
        # Without the interpreter's shutdown: what the parent registered there is the parent's to do.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def exit_code(pid: int) -> int | None:
    """Returns the exit code of a forked process, negative for a signal, and reaps it; None while it runs."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    """Sends a signal to forked processes of which none has been reaped, so that no pid can be another's by now."""
    for pid in pids:
        os.kill(pid, number)


def watch_over(
    pids: Sequence[int],
    stopping: Callable[[], bool],
    trouble: Callable[[], bool] = lambda: False,
) -> list[int]:
    """Waits for the processes of a run that were forked here; returns their exit codes.

    Once `stopping()`, they are asked to stop. When one of them fails, or `trouble()` says that one elsewhere has, the
    others have GRACE_SECONDS to notice and write it down before they are killed (SILENT).
    """
    codes: dict[int, int] = {}
    killed: set[int] = set()
    asked, failed_at = False, float("inf")
    while len(codes) < len(pids):
        for pid in pids:
            if pid not in codes and (code := exit_code(pid)) is not None:
                codes[pid] = code
        left = [pid for pid in pids if pid not in codes]
        if stopping() and not asked:
            asked = True
            send(signal.SIGTERM, left)
        if left and failed_at == float("inf") and (trouble() or any(code not in IN_ORDER for code in codes.values())):
            failed_at = time.monotonic()
        if time.monotonic() - failed_at > GRACE_SECONDS:
            killed.update(left)
            send(signal.SIGKILL, left)
        time.sleep(POLL_SECONDS)
    return [SILENT if pid in killed else codes[pid] for pid in pids]
