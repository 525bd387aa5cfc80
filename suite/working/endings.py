"""Writes down how an attempt ended whose process could not say so itself."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import msgspec

from optathlon.results import Store
from optathlon.results.record import Ended
from optathlon.results.store.files import utc
from optathlon.results.store.run_state import LOST
from optathlon.suite import failures
from optathlon.suite.training.team import Fault
from optathlon.suite.working.exits import IN_ORDER, how


def write_down(
    store: Store,
    run: str,
    pid: int,
    codes: Sequence[int],
    fault: Fault | None,
    *,
    asked: bool = False,
    out_of_memory: bool = False,
) -> bool:
    """Say how the attempt of process `pid`, the first of a run's, ended if it could not say so itself: by the `fault`
    of any, or the exit `codes` of all. False if it made no attempt.

    asked: they were asked to stop. out_of_memory: the kernel killed a process for its memory meanwhile.
    """
    mine = [a for a in store.attempts(run) if (a.owner.host, a.owner.pid) == (platform.node(), pid)]
    if mine:
        found = _by_codes(codes, fault, asked, out_of_memory)
        number, kind = mine[-1].number, "stopped" if found.asked else "failed"
        reason, trace, failure = found.reason, found.trace, found.failure
        store.end(Ended(run=run, number=number, kind=kind, reason=reason, trace=trace, failure=failure, ended=utc()))
    return bool(mine)


def _by_codes(codes: Sequence[int], fault: Fault | None, asked: bool, out_of_memory: bool) -> Fault:
    """`fault`, unless it knows only that a process was lost and the exit codes tell how."""
    signals = [code for code in codes if code < 0]
    if fault is not None and (fault.failure != LOST or not signals):
        return msgspec.structs.replace(fault, asked=fault.asked or (asked and fault.failure == LOST))
    worst = next((code for code in (*signals, *codes) if code not in IN_ORDER), codes[0])
    failure = failures.of_exit(worst, out_of_memory)
    reason = "; ".join(f"process {rank} {how(code)}" for rank, code in enumerate(codes))
    return Fault(f"{reason}; out of memory" if failure == "memory" else reason, "", failure, asked)
