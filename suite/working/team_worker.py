"""The worker of an allocation of several processes: together they take one run of a plan after another."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from typing import Any

from optathlon.results import this_process
from optathlon.results.errors import StoreError
from optathlon.results.plan import PlannedRun
from optathlon.results.record import Attempt
from optathlon.results.store.files import utc
from optathlon.results.store.refusals import Refusal, RefusalLog
from optathlon.slurm.cluster import this_job
from optathlon.suite.code import changed
from optathlon.suite.errors import FAILED, PREEMPTED, MachineError
from optathlon.suite.identity import Run
from optathlon.suite.planning.plan import run_of
from optathlon.suite.training.place import Place, environment
from optathlon.suite.training.team import Fault, Lost, awaiting_others, first_fault, meet, patience, within
from optathlon.suite.working import memory_kills
from optathlon.suite.working.assignment import Assignment
from optathlon.suite.working.claimable import free
from optathlon.suite.working.endings import write_down
from optathlon.suite.working.execute import refusal
from optathlon.suite.working.exits import IN_ORDER, REFUSED, how
from optathlon.suite.working.forking import fork, preload, watch_over
from optathlon.suite.working.log import say
from optathlon.suite.working.several_processes import Job, take_part
from optathlon.suite.working.stopping import StopFlag, stop_flag
from optathlon.suite.working.worker import REFRESH_SECONDS

POLL_SECONDS, BEAT_SECONDS, SILENCE_SECONDS, FAREWELL_SECONDS = 0.2, 5.0, 120.0, 30.0


def work(given: Assignment) -> int:
    """Take the runs of `given` that are free, one at a time, with all processes that `environment` tells of.

    The first process chooses; each forks a child for its part. Until nothing is free here or running elsewhere, or a
    signal came to any process. Returns 0, PREEMPTED after a signal, FAILED if another process is gone.
    """
    place = environment()
    if place is None:
        raise MachineError("a team's worker needs the environment of torchrun or srun, with several processes")
    if place.rank == 0 and (told := changed()):
        say(told)
    with stop_flag() as flag:
        try:
            channel = _Channel(place)
            return (_First if place.rank == 0 else _Member)(given, place, channel, flag).work()
        except Lost as error:
            say(f"process {place.rank} ends: {error}")
            return FAILED


class _Channel:
    """What the processes of an allocation tell each other between runs, through a store that the first one serves."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.store = within(meet(place), "team")
        self.watched = range(1, place.world) if place.rank == 0 else range(1)
        self.heard = {rank: (b"", time.monotonic()) for rank in self.watched}
        self.beaten = float("-inf")

    def say(self, key: str, value: dict[str, Any]) -> None:
        with awaiting_others():
            self.store.set(key, json.dumps(value))

    def ask(self, key: str) -> dict[str, Any] | None:
        """What was said under `key`, if anything was."""
        with awaiting_others():
            return json.loads(self.store.get(key)) if self.store.check([key]) else None

    def count(self, key: str, more: int = 0) -> int:
        """How often `key` was counted by all, after `more` from here."""
        with awaiting_others():
            return self.store.add(key, more)

    def beat(self) -> None:
        """Say now and then that this process is there; Lost if one that it needs has been silent for long."""
        now = time.monotonic()
        if now - self.beaten < BEAT_SECONDS:
            return
        self.beaten = now
        with awaiting_others():
            self.store.set(f"alive/{self.place.rank}", str(now))
            for rank in self.watched:
                said = self.store.get(f"alive/{rank}") if self.store.check([f"alive/{rank}"]) else b""
                if said != self.heard[rank][0]:
                    self.heard[rank] = said, now
        for rank, (said, last) in self.heard.items():
            if now - last > (SILENCE_SECONDS if said else patience().total_seconds()):
                raise Lost(f"process {rank} of the team was not heard of for {now - last:.0f} s")


class _Member:
    """A process of the allocation: it does as the first one says."""

    def __init__(self, given: Assignment, place: Place, channel: _Channel, stopping: StopFlag) -> None:
        self.given, self.place, self.channel, self.stopping = given, place, channel, stopping
        self.store, self.plan = given.store, given.plan
        self.serial, self.asked = 0, False

    def work(self) -> int:
        while True:
            self.listen()
            if order := self.channel.ask(f"order/{self.serial}"):
                if "end" in order:
                    self.channel.count("gone", 1)
                    return order["end"]
                self.take_part(next(run for run in self.plan.runs if run.id == order["run"]))
            time.sleep(POLL_SECONDS)

    def listen(self) -> None:
        self.channel.beat()
        if self.stopping() and not self.asked:
            self.asked = True
            self.channel.count("stop", 1)

    def take_part(self, planned: PlannedRun) -> tuple[int, list[int], bool]:
        """Fork a child for this process's part in the run. Returns, once all have ended theirs, its pid, the exit codes
        of all parts, and whether the kernel killed a process for its memory on a machine of theirs."""
        run, key = run_of(self.plan, planned), f"run/{self.serial}"
        self.serial += 1
        preload(run)
        oom_kills = memory_kills.oom_kills()
        pid = fork(lambda stop: self._child(run, key, stop))
        try:
            (code,) = watch_over([pid], self.stopping, lambda: self._trouble(key))
        except Lost:
            watch_over([pid], lambda: True, lambda: True)
            raise
        if code not in IN_ORDER:
            self.channel.count(f"{key}/failed", 1)
        end = {"code": code, "out_of_memory": memory_kills.oom_kills() > oom_kills}
        self.channel.say(f"{key}/end/{self.place.rank}", end)
        self.channel.count(f"{key}/ended", 1)
        while self.channel.count(f"{key}/ended") < self.place.world:
            self.listen()
            time.sleep(POLL_SECONDS)
        ends = [self.channel.ask(f"{key}/end/{rank}") or {} for rank in range(self.place.world)]
        return pid, [end["code"] for end in ends], any(end["out_of_memory"] for end in ends)

    def fault(self) -> Fault | None:
        """What a part of the last run failed by, if one could say it."""
        return first_fault(within(meet(self.place, serving=False), f"run/{self.serial - 1}"))

    def _trouble(self, key: str) -> bool:
        self.listen()
        return self.channel.count(f"{key}/failed") > 0

    def _child(self, run: Run, key: str, stop: StopFlag) -> int:
        memory_kills.die_first()
        job = Job(
            run, self.store, self.given.data, self.given.data_workers,
            owner=lambda: this_process(*this_job()), say=say, claimed=self._log, watched=True,
        )  # fmt: skip
        return take_part(job, self.place, within(meet(self.place, serving=False), key), stop)

    def _log(self, attempt: Attempt) -> None:
        log = os.open(self.store.log(attempt), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        for stream in (1, 2):
            os.dup2(log, stream)


class _First(_Member):
    """The process of rank 0, which chooses what all do next."""

    def __init__(self, given: Assignment, place: Place, channel: _Channel, stopping: StopFlag) -> None:
        super().__init__(given, place, channel, stopping)
        self.owner, self.refused = this_process(*this_job()), set[str]()
        self.refusals = RefusalLog(self.store, self.plan.head.name)

    def work(self) -> int:
        while True:
            self.listen()
            if self.channel.count("stop"):
                return self._end(PREEMPTED)
            runs, elsewhere = free(self.given, self.owner, self.refused)
            if planned := next((run for run in runs if self._fit(run)), None):
                self.channel.say(f"order/{self.serial}", {"run": planned.id})
                self._carry_out(planned)
            elif elsewhere:
                time.sleep(REFRESH_SECONDS)
            else:
                with contextlib.suppress(OSError, StoreError):
                    self.store.compact()
                return self._end(0)

    def _fit(self, planned: PlannedRun) -> bool:
        try:
            why = refusal(run_of(self.plan, planned), self.given.data, self.place.world)
        except Exception as error:  # what is wrong with one run's task or data stops no other
            why = f"{type(error).__name__}: {error}"
        if why:
            self._refuse(planned, why)
        return not why

    def _refuse(self, planned: PlannedRun, why: str) -> None:
        """Leave a run alone from now on, and say why where `optathlon status` finds it."""
        self.refused.add(planned.id)
        say(f"{_label(planned)} refused: {why}")
        with contextlib.suppress(OSError):
            self.refusals.append(Refusal(run=planned.id, why=why, host=platform.node(), time=utc()))

    def _carry_out(self, planned: PlannedRun) -> None:
        pid, codes, out_of_memory = self.take_part(planned)
        say(f"{_label(planned)} on {self.place.world} processes: {how(codes[0])}")
        if codes[0] == REFUSED:
            self._refuse(planned, "a process of the team refused it; the job's log says which and why")
        elif any(code not in IN_ORDER for code in codes):
            asked = {"asked": self.channel.count("stop") > 0, "out_of_memory": out_of_memory}
            if not write_down(self.store, planned.id, pid, codes, self.fault(), **asked):
                why = f"its processes could not meet (the first {how(codes[0])}); the job's log says why"
                self._refuse(planned, why)

    def _end(self, code: int) -> int:
        """Let the others go, and stay until they have heard it."""
        self.channel.say(f"order/{self.serial}", {"end": code})
        until = time.monotonic() + FAREWELL_SECONDS
        while self.channel.count("gone") < self.place.world - 1 and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        return code


def _label(planned: PlannedRun) -> str:
    return f"{planned.row} on {planned.column}, seed {planned.seed} ({planned.id})"
