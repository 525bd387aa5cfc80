"""An attempt that is stopped at any file call, loses its run and wakes later harms nothing of those that took over."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from optathlon.suite.errors import OK
from optathlon.suite.identity import Run
from optathlon.suite.working.exit_codes import BUSY
from tests.suite.stories import on_host
from tests.torture.runs import Torture
from tests.torture.shim import ALL, Action, Blow
from tests.torture.tally import Tally, sample

LONG_AGO = 1e9


def torture(run: Run, folder: Path, tally: Tally, most: int | None) -> None:
    """Stop an attempt before each file call, let another take over, to its end or half-way, and wake the first."""
    tortured = Torture(run, folder)
    for number, call in enumerate(sample(tortured.calls[ALL], most)):
        blow, updates = Blow(Action.STOP, call, kinds=ALL), 10 if number % 2 else None
        how = "half-way" if updates else "to the end"
        kind = f"a run stopped before a file call, taken over {how}, and woken"
        tally.add(kind, blow, _strike(tortured, blow, updates))


def _strike(tortured: Torture, blow: Blow, updates: int | None) -> list[str]:
    """The rules that are broken where another attempt takes over, for so many updates, from one that is stopped."""
    tortured.clear()
    pid = tortured.begin(blow, lambda: on_host("elsewhere"))
    _, status = os.waitpid(pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        return [f"was not stopped, but ended with {os.waitstatus_to_exitcode(status)}"]
    for claimed in tortured.store.work(tortured.run.id).glob("attempt-*.json"):
        os.utime(claimed, (LONG_AGO, LONG_AGO))  # its lease is over
    tortured.attempt(None, updates=updates)
    os.kill(pid, signal.SIGCONT)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    tortured.write_down(pid, code)
    broken = [] if code in (OK, BUSY) else [f"woken, it ended with {code}"]
    return broken + tortured.go_on()
