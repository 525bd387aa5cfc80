"""A run whose file calls are struck one after another ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from optathlon.results import Store, StoreError, this_process
from optathlon.results.record import Owner
from optathlon.suite.errors import OK
from optathlon.suite.identity import Run
from optathlon.suite.training.surroundings import CHECKPOINT_SECONDS
from optathlon.suite.training.team import ALONE
from optathlon.suite.working.endings import write_down
from optathlon.suite.working.exit_codes import BUSY, REFUSED
from optathlon.suite.working.job import Job, carry_out
from optathlon.suite.working.log import redirect_output, say
from tests.suite.kills import outcome
from tests.torture import shim
from tests.torture.shim import ALL, CHANGES, Action, Blow
from tests.torture.tally import Tally, child, in_child, sample

LASTING = {"attempt", "ended", "events", "moved", "part"}
"""What stays of a finished run beside its record, and the index."""


class Torture:
    """Attempts of `run` in stores of their own below `folder`, and what must be true afterwards."""

    def __init__(self, run: Run, folder: Path) -> None:
        os.environ[CHECKPOINT_SECONDS] = "0"
        self.run, self.folder = run, folder
        self.output = folder / "output"
        self.store = Store(folder / "store")
        assert self.attempt(None) == OK, self.output.read_text()
        self.expected = outcome(self.store.record(run.id))
        self.calls = {kinds: self.count(kinds) for kinds in (CHANGES, ALL)}

    def count(self, kinds: int) -> int:
        """How many file calls an attempt makes from its claim to its end."""
        self.clear()
        assert self.attempt(Blow(Action.NOTHING, 0, kinds=kinds)) == OK
        return int((self.folder / "calls").read_text())

    def clear(self) -> None:
        self.output.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "store", ignore_errors=True)
        self.store = Store(self.folder / "store")

    def attempt(
        self,
        blow: Blow | None,
        clock: int = 0,
        jumps: Callable[[], object] = lambda: None,
        updates: int | None = None,
    ) -> int:
        """One attempt as a worker has it, struck by `blow`, its clock so far ahead, with `jumps` called after each
        update, asked to stop after so many; its exit code. How it died is written down."""
        code, pid = in_child(self._act(blow, clock, jumps, updates), self.output)
        self.write_down(pid, code)
        return code

    def begin(self, blow: Blow, owner: Callable[[], Owner]) -> int:
        """The pid of one attempt of `owner`, struck by `blow`, that is under way."""
        return child(self._act(blow, owner=owner), self.output)

    def write_down(self, pid: int, code: int) -> None:
        """How the attempt of process `pid` ended, as a worker does."""
        with contextlib.suppress(OSError, StoreError):
            write_down(self.store, self.run.id, pid, [code], asked=False, out_of_memory=False)

    def _act(
        self,
        blow: Blow | None,
        clock: int = 0,
        jumps: Callable[[], object] = lambda: None,
        updates: int | None = None,
        owner: Callable[[], Owner] = this_process,
    ) -> Callable[[], int]:
        looks = itertools.count(1)

        def stop() -> bool:
            jumps()
            return updates is not None and next(looks) >= updates

        def act() -> int:
            torch.set_num_threads(1)
            job = Job(
                run=self.run,
                store=self.store,
                data=self.folder,
                device="cpu",
                owner=owner,
                say=say,
                claimed=lambda attempt: redirect_output(self.store.log(attempt)),
            )
            shim.move_clock(clock)
            if blow is not None:
                shim.arm(self.folder / "store", blow)
            code = carry_out(job, ALONE, torch.device("cpu"), stop)
            (self.folder / "calls").write_text(str(shim.disarm()))
            return code

        return act

    def strike(self, blow: Blow | None, clock: int = 0, jumps: Callable[[], object] = lambda: None) -> list[str]:
        """The rules that are broken where an attempt is struck, or has a strange clock, and others go on."""
        self.clear()
        code = self.attempt(blow, clock, jumps)
        broken = [] if code in ((OK, 1, BUSY, REFUSED, -9) if blow else (OK,)) else [f"ended with {code}"]
        if blow and blow.action in (Action.KILL, Action.TEAR) and code != -9:
            broken.append(f"was not killed, but ended with {code}")
        return broken + self.go_on()

    def go_on(self) -> list[str]:
        """The rules that are broken once further attempts have gone on by themselves."""
        codes = list(itertools.takewhile(lambda code: code not in (OK, BUSY), (self.attempt(None) for _ in range(3))))
        return [f"the attempt after it ended with {code}" for code in codes] + self.broken()

    def broken(self) -> list[str]:
        """The rules that do not hold once the run is done."""
        if self.store.record(self.run.id) is None:
            return ["the run has no record"]
        broken = []
        if outcome(self.store.record(self.run.id)) != self.expected:
            broken.append("its record is not the uninterrupted one's")
        if len(list((self.folder / "store/records").rglob("*.json"))) != 1 or len(self.store.records()) != 1:
            broken.append("there is more than one record")
        if self.store.problems:
            broken.append(f"the store has problems: {self.store.problems}")
        if self.store.claim(self.run.id, this_process()) is not None:
            broken.append("a finished run could be claimed")
        printed = [self.output, *(self.folder / "store").rglob("log-*.txt")]
        if said := [path for path in printed if path.exists() and "Traceback" in path.read_text()]:
            broken.append(f"traceback: {said[0].read_text()[-1500:]}")
        return broken + self.left_over()

    def left_over(self) -> list[str]:
        """What `clean` leaves that it should not, once nobody can be at work any more."""
        Store(self.folder / "store", lease=0.0).clean()
        files = (path for path in (self.folder / "store").rglob("*") if path.is_file())
        paths = (path for path in files if path.parent.name != "sources")  # of the toy task, which is a user's own
        known = {"identity", f"{self.run.id}.json"}
        return [
            f"left over: {path.name}"
            for path in paths
            if path.name not in known and path.name.partition("-")[0] not in LASTING
        ]


def torture(run: Run, folder: Path, tally: Tally, most: int | None) -> None:
    """Kill an attempt at each file call, tear each write, and let calls fail with each error, once and lastingly."""
    tortured = Torture(run, folder)
    for action, words in ((Action.KILL, "killed before a file call"), (Action.TEAR, "killed in the middle of a write")):
        for call in sample(tortured.calls[CHANGES], most):
            blow = Blow(action, call)
            tally.add(f"a run {words}", blow, tortured.strike(blow))
    for error, kinds in ((errno.ENOSPC, CHANGES), (errno.EDQUOT, CHANGES), (errno.EIO, ALL), (errno.EINTR, ALL)):
        for lasting in (False, True) if error != errno.EINTR else (False,):
            for call in sample(tortured.calls[kinds], most and most // 2):
                blow = Blow(Action.FAIL, call, error, kinds, lasting)
                how = "from a file call on" if lasting else "at a file call"
                tally.add(f"a run that gets {errno.errorcode[error]} {how}", blow, tortured.strike(blow))
