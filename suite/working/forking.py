"""Forking a run's processes, with everything imported, and waiting for them."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence

from optathlon.suite.identity import Run, optimizer_of, task_of
from optathlon.suite.working.exits import IN_ORDER, SILENT
from optathlon.suite.working.stopping import STOPPED_BY, StopFlag, stop_flag

GRACE_SECONDS, POLL_SECONDS = 30.0, 0.1


PR_SET_PDEATHSIG = 1


def preload(run: Run) -> None:
    """Import here what each forked process would import for `run`. What cannot be imported fails there, on record."""
    modules = (task_of(run.problem.task).workload, optimizer_of(run.setting.optimizer).factory)
    for module in ("torch._dynamo", "torch.utils.data", *(path.partition(":")[0] for path in modules)):
        with contextlib.suppress(Exception):
            importlib.import_module(module)


def fork(act: Callable[[StopFlag], int]) -> int:
    """Fork a child that exits with what `act` returns; SIGTERM, SIGINT, SIGUSR2 and the end of this process set its
    flag. Returns its pid."""
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPED_BY)
    if pid := os.fork():
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid
    code = 1
    try:
        with stop_flag() as flag:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                flag.raised = signal.SIGTERM
            code = act(flag)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def watch_over(
    pids: Sequence[int],
    stopping: Callable[[], bool],
    trouble: Callable[[], bool] = lambda: False,
) -> list[int]:
    """Wait for the processes of a run that were forked here; returns their exit codes.

    Once `stopping()`, they are asked to stop. When one of them fails, or `trouble()` says that one elsewhere has, the
    others have GRACE_SECONDS to notice and write it down before they are killed (SILENT).
    """
    codes: dict[int, int] = {}
    killed: set[int] = set()
    asked, failed = False, float("inf")
    while len(codes) < len(pids):
        for pid in pids:
            if pid not in codes and (found := os.waitpid(pid, os.WNOHANG))[0]:
                codes[pid] = os.waitstatus_to_exitcode(found[1])
        left = [pid for pid in pids if pid not in codes]
        if stopping() and not asked:
            asked = True
            _signal(left, signal.SIGTERM)
        if left and failed == float("inf") and (trouble() or any(code not in IN_ORDER for code in codes.values())):
            failed = time.monotonic()
        if time.monotonic() - failed > GRACE_SECONDS:
            killed.update(left)
            _signal(left, signal.SIGKILL)
        time.sleep(POLL_SECONDS)
    return [SILENT if pid in killed else codes[pid] for pid in pids]


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)  # none of them is reaped, so none can be another's by now
