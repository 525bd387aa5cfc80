"""The worker of several processes, one per rank: together they take one run of a plan after another."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from optathlon.results.plan import PlannedRun
from optathlon.suite.code import changed
from optathlon.suite.errors import FAILED, OK, MachineError, Preempted
from optathlon.suite.failures import Fault
from optathlon.suite.identity import Run
from optathlon.suite.planning.plan import run_of
from optathlon.suite.training.place import Place, environment
from optathlon.suite.training.team import Lost, awaiting_others, first_fault, meet, patience, within
from optathlon.suite.working import memory_kills
from optathlon.suite.working.assigned_runs import REFRESH_SECONDS, AssignedRuns
from optathlon.suite.working.assignment import Assignment
from optathlon.suite.working.exit_codes import IN_ORDER
from optathlon.suite.working.forking import fork, watch_over
from optathlon.suite.working.log import say
from optathlon.suite.working.several_processes import part_or_stopped, take_part
from optathlon.suite.working.signals import StopFlag, stop_flag

POLL_SECONDS = 0.2
"""How often a process asks the first one's store, which all of the team ask."""

BEAT_SECONDS = 5.0
"""How often a process says that it is alive."""

SILENCE_SECONDS = 120.0
"""A process that was heard of before and then is silent for so long is lost."""

FAREWELL_SECONDS = 30.0
"""How long the first process, which serves the store, stays for the others to hear that it is over."""


def work(assignment: Assignment) -> int:
    """Takes the runs of `assignment` that are free, one at a time, with all processes that `environment` tells of.

    The first process chooses; each forks a child for its part. Until nothing is free here or running elsewhere, or a
    signal came to any process. Returns OK; after a signal PREEMPTED, or IN_VAIN if no run has got on; FAILED if another
    process is gone.
    """
    place = environment()
    if place is None:
        raise MachineError("a team's worker needs the environment of torchrun or srun, with several processes")
    if place.rank == 0 and (warning := changed()):
        say(warning)
    with stop_flag() as stopping:
        runs = AssignedRuns(assignment)
        runs.preload()
        try:
            channel = _Channel(place, stopping)
            return (_First if place.rank == 0 else _Member)(runs, place, channel, stopping).work()
        except Lost as error:
            say(f"process {place.rank} ends: {error}")
            return FAILED
        except Preempted:
            return runs.stopped_code


class _Channel:
    """What the processes of an allocation tell each other between runs, through a store that the first one serves."""

    def __init__(self, place: Place, stopping: StopFlag) -> None:
        self.place = place
        self.store = within(meet(place, stop=stopping), "team")
        # The first process needs all others, each of the others needs only the first, which serves the store.
        self.watched = range(1, place.world) if place.rank == 0 else range(1)
        self.heard = {rank: (b"", time.monotonic()) for rank in self.watched}
        self.beaten = float("-inf")

    def say(self, key: str, value: dict[str, Any]) -> None:
        with awaiting_others():
            self.store.set(key, json.dumps(value))

    def ask(self, key: str) -> dict[str, Any] | None:
        """Returns what was said under `key`, None if nothing was."""
        with awaiting_others():
            return json.loads(self.store.get(key)) if self.store.check([key]) else None

    def count(self, key: str, more: int = 0) -> int:
        """Returns how often `key` was counted by all, after `more` from here."""
        with awaiting_others():
            return self.store.add(key, more)

    def beat(self) -> None:
        """Says now and then that this process is there; Lost if one that it needs has been silent for long."""
        now = time.monotonic()
        if now - self.beaten < BEAT_SECONDS:
            return
        self.beaten = now
        with awaiting_others():
            self.store.set(f"alive/{self.place.rank}", str(now))
            for rank in self.watched:
                beat = self.store.get(f"alive/{rank}") if self.store.check([f"alive/{rank}"]) else b""
                if beat != self.heard[rank][0]:
                    self.heard[rank] = beat, now
        for rank, (beat, last) in self.heard.items():
            # One that was never heard of may still be starting, for which torch has its own patience.
            if now - last > (SILENCE_SECONDS if beat else patience().total_seconds()):
                raise Lost(f"process {rank} of the team was not heard of for {now - last:.0f} s")


@dataclass(frozen=True)
class _Parts:
    """How the processes of a run ended their parts in it."""

    pid: int
    """This process's child."""
    codes: list[int]
    """The exit code of each rank."""
    out_of_memory: bool
    """Whether the kernel killed a process for its memory on a machine of theirs."""


class _Member:
    """A process of the allocation: it does as the first one says."""

    def __init__(self, runs: AssignedRuns, place: Place, channel: _Channel, stopping: StopFlag) -> None:
        self.runs, self.place, self.channel, self.stopping = runs, place, channel, stopping
        self.serial, self.stop_told = 0, False

    def work(self) -> int:
        while True:
            self.listen()
            if order := self.channel.ask(f"order/{self.serial}"):
                if "end" in order:
                    self.channel.count("gone", 1)
                    return order["end"]
                self.take_part(next(run for run in self.runs.plan.runs if run.id == order["run"]))
            time.sleep(POLL_SECONDS)

    def listen(self) -> None:
        """Says that this process is alive and, once, that it was asked to stop; Lost if another is silent."""
        self.channel.beat()
        if self.stopping() and not self.stop_told:
            self.stop_told = True
            self.channel.count("stop", 1)

    def take_part(self, planned: PlannedRun) -> _Parts:
        """Forks a child for this process's part in the run; returns once all processes have ended theirs."""
        run, key = run_of(self.runs.plan, planned), f"run/{self.serial}"
        self.serial += 1
        out_of_memory = memory_kills.counted_from_now()
        pid = fork(lambda stop: self._child(run, key, stop))
        try:
            (code,) = watch_over([pid], self.stopping, lambda: self._trouble(key))
        except Lost:
            # Nobody else will stop the child: it is asked to save, and killed if it does not answer.
            watch_over([pid], lambda: True, lambda: True)
            raise
        if code not in IN_ORDER:
            self.channel.count(f"{key}/failed", 1)
        self.channel.say(f"{key}/end/{self.place.rank}", {"code": code, "out_of_memory": out_of_memory()})
        self.channel.count(f"{key}/ended", 1)
        while self.channel.count(f"{key}/ended") < self.place.world:
            self.listen()
            time.sleep(POLL_SECONDS)
        ends = [self.channel.ask(f"{key}/end/{rank}") or {} for rank in range(self.place.world)]
        return _Parts(pid, [end["code"] for end in ends], any(end["out_of_memory"] for end in ends))

    def fault(self) -> Fault | None:
        """Returns what a part of the last run failed by, if one could say it."""
        return first_fault(within(meet(self.place, serving=False), f"run/{self.serial - 1}"))

    def _trouble(self, key: str) -> bool:
        self.listen()
        return self.channel.count(f"{key}/failed") > 0

    def _child(self, run: Run, key: str, stop: StopFlag) -> int:
        job = self.runs.job(run, watched=True)
        meeting = within(meet(self.place, serving=False, stop=stop), key)
        return part_or_stopped(lambda: take_part(job, self.place, meeting, stop), stop)


class _First(_Member):
    """The process of rank 0, which chooses what all do next."""

    def work(self) -> int:
        while True:
            self.listen()
            if self.channel.count("stop"):
                return self._end(self.runs.stopped_code)
            runs, elsewhere = self.runs.free()
            if planned := next((run for run in runs if not self.runs.refuses(run, self.place.world)), None):
                self.channel.say(f"order/{self.serial}", {"run": planned.id})
                self._carry_out(planned)
            elif elsewhere:
                time.sleep(REFRESH_SECONDS)
            else:
                self.runs.close()
                return self._end(OK)

    def _carry_out(self, planned: PlannedRun) -> None:
        parts = self.take_part(planned)
        fault = self.fault() if any(code not in IN_ORDER for code in parts.codes) else None
        asked = self.channel.count("stop") > 0
        self.runs.settle(planned, parts.pid, parts.codes, fault, asked=asked, out_of_memory=parts.out_of_memory)

    def _end(self, code: int) -> int:
        """Lets the others go, and stays until they have heard it."""
        self.channel.say(f"order/{self.serial}", {"end": code})
        until = time.monotonic() + FAREWELL_SECONDS
        while self.channel.count("gone") < self.place.world - 1 and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        return code
