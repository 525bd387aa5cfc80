"""Clients whose clocks are wrong by anything take no living run, and leave no dead one."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import time
from pathlib import Path

import msgspec

from optathlon.results import Store, StoreError, this_process
from optathlon.results.store.claims import LEASE
from optathlon.suite.errors import OK
from optathlon.suite.identity import Run
from tests.torture import shim
from tests.torture.runs import Torture
from tests.torture.tally import Tally, in_child

MINUTE, HOUR, YEAR = 60, 3600, 365 * 86400
AHEAD = sorted(sign * seconds for sign in (1, -1) for seconds in
               (1, MINUTE, 14 * MINUTE, 16 * MINUTE, HOUR, 6 * HOUR, 30 * 24 * HOUR, YEAR, 20 * YEAR))  # fmt: skip
SILENT = {"just now": 0.0, "five minutes ago": 300.0, "just within the lease": LEASE - 60, "beyond it": LEASE + 60}
"""How long ago the owner's heartbeat was, by the file server's clock, in seconds."""


def torture(run: Run, folder: Path, tally: Tally, most: int | None) -> None:
    """Runs under clocks that are wrong and jump, and claims of runs whose owner is elsewhere."""
    offsets = AHEAD if most is None else [-6 * HOUR, 6 * HOUR]
    for ahead, (words, silence) in itertools.product(offsets, SILENT.items()):
        case = f"a clock {ahead:+} s ahead, heartbeat {words}"
        tally.add("another's run claimed and forgotten under a wrong clock", case, _claims(folder, ahead, silence))
        tally.add("the same, the clock set meanwhile", case, _claims(folder, ahead, silence, meanwhile=True))
    tortured = Torture(run, folder)
    for ahead in offsets:
        tally.add("a run under a wrong clock", f"{ahead:+} s ahead", tortured.strike(None, ahead))
    for seed in range(20 if most is None else 2):
        chance = random.Random(seed)
        tally.add("a run under a clock that jumps", f"seed {seed}", tortured.strike(
            None, jumps=lambda chance=chance: shim.move_clock(chance.choice(AHEAD))))  # fmt: skip


def _claims(folder: Path, ahead: int, silence: float, meanwhile: bool = False) -> list[str]:
    """The rules that a process breaks whose clock is so far ahead, where another's heartbeat is so long ago.

    meanwhile: the clock is set after the process has looked at the store once.
    """
    shutil.rmtree(folder / "store", ignore_errors=True)
    store, run_id = Store(folder / "store"), "0123456789abcdef"
    elsewhere = msgspec.structs.replace(this_process(), host="elsewhere")
    attempt = store.claim(run_id, elsewhere)
    assert attempt is not None
    beat = time.time() - silence
    os.utime(store.work(run_id) / "attempt-0001.json", (beat, beat))
    living = silence <= LEASE
    answer = folder / "answer"
    answer.unlink(missing_ok=True)

    def act() -> int:
        store = Store(folder / "store")
        if meanwhile:
            store.states([run_id])
        shim.move_clock(ahead)
        state = store.states([run_id])[run_id].kind
        try:
            store.forget(run_id)
            forgotten = True
        except StoreError:
            forgotten = False
        claimed = store.claim(run_id, this_process()) is not None
        answer.write_text(f"{state} {forgotten} {claimed}")
        return OK

    code, _ = in_child(act, folder / "output")
    if code != OK:
        return [f"ended with {code}: {(folder / 'output').read_text()[-800:]}"]
    expected = "running False False" if living else "stopped True True"
    return [] if answer.read_text() == expected else [f"{answer.read_text()} for {expected}"]
