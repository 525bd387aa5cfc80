"""Writes down how an attempt ended whose processes could not say so themselves."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import msgspec

from optathlon.results import Store
from optathlon.results.record import Ended
from optathlon.results.store.files import utc
from optathlon.results.store.run_state import LOST
from optathlon.slurm.signals import PREEMPTED
from optathlon.suite import failures
from optathlon.suite.errors import INTERRUPTED
from optathlon.suite.failures import Fault
from optathlon.suite.working.exit_codes import IN_ORDER, SILENT, describe


def write_down(
    store: Store,
    run: str,
    pid: int,
    codes: Sequence[int],
    fault: Fault | None = None,
    *,
    asked: bool = False,
    out_of_memory: bool = False,
) -> bool:
    """Says how the attempt of process `pid`, the first of a run's, ended, unless it has done so itself.

    What counts is the `fault` that a process reported, else the exit `codes` of all. asked: they were asked to stop.
    out_of_memory: the kernel killed a process for its memory meanwhile. Returns False if `pid` made no attempt.
    """
    attempts = [a for a in store.attempts(run) if (a.owner.host, a.owner.pid) == (platform.node(), pid)]
    if not attempts:
        return False
    fault = judge(codes, fault, asked=asked, out_of_memory=out_of_memory)
    store.end(
        Ended(
            run=run,
            number=attempts[-1].number,
            kind="stopped" if fault.asked else "failed",
            reason=fault.reason,
            trace=fault.trace,
            failure=fault.failure,
            ended=utc(),
        )
    )
    return True


def judge(codes: Sequence[int], fault: Fault | None, *, asked: bool, out_of_memory: bool) -> Fault:
    """Returns what an attempt failed by: `fault`, unless it knows only that a process was lost and the codes tell how.

    Who dies of a signal or of silence after being asked to stop goes down with its job: that is not the run's fault.
    """
    signals = [code for code in codes if code < 0]
    if fault is not None and (fault.failure != LOST or not signals):
        return msgspec.structs.replace(fault, asked=fault.asked or (asked and fault.failure == LOST))
    worst = next((code for code in (*signals, *codes) if code not in IN_ORDER), codes[0])
    failure = failures.classify_exit(worst, out_of_memory)
    reason = _reason(codes) + ("; out of memory" if failure == "memory" else "")
    return Fault(reason, "", failure, asked and (worst < 0 or worst in (SILENT, PREEMPTED, INTERRUPTED)))


def _reason(codes: Sequence[int]) -> str:
    if all(code in IN_ORDER for code in codes):  # a library or the task has ended the process
        return f"ended with exit code {codes[0]} and said nothing"
    if len(codes) == 1:
        return describe(codes[0]).removeprefix("was ")
    return "; ".join(f"process {rank} {describe(code)}" for rank, code in enumerate(codes))
