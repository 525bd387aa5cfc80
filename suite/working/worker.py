"""The worker of one process: forks a child for each free run of a plan, in as many slots as this machine has."""

from __future__ import annotations

import functools
import os
import platform
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from optathlon.results.plan import PlannedRun
from optathlon.slurm import slots
from optathlon.slurm.cluster import position_in_array
from optathlon.suite.code import changed
from optathlon.suite.errors import FAILED, OK
from optathlon.suite.identity import Run
from optathlon.suite.planning.plan import run_of
from optathlon.suite.working import forking, memory_kills
from optathlon.suite.working.assigned_runs import REFRESH_SECONDS, AssignedRuns
from optathlon.suite.working.assignment import Assignment
from optathlon.suite.working.exit_codes import BUSY
from optathlon.suite.working.log import say
from optathlon.suite.working.machine import gpus_work, slots_are_gpus
from optathlon.suite.working.signals import StopFlag, stop_flag


@dataclass
class _Child:
    """A forked process that carries out one run."""

    run: PlannedRun
    slot: slots.Slot
    out_of_memory: Callable[[], bool]
    """Whether the kernel killed a process for its memory since this one was forked."""


class Worker:
    """A process that forks one child per run. It imports torch for all of them, and never touches CUDA: a process that
    has done so cannot fork children that use it."""

    def __init__(self, assignment: Assignment) -> None:
        self.most, self.runs = assignment.slots, AssignedRuns(assignment)
        self.position = position_in_array()
        self.children: dict[int, _Child] = {}
        self.queue: list[PlannedRun] = []
        self.stale, self.refreshed = True, 0.0
        self.elsewhere = False

    def work(self) -> int:
        """Goes on until nothing of the plan is free, running here, or running elsewhere (which may free more).

        Returns OK; after a signal PREEMPTED, or IN_VAIN if no run has got on; FAILED where the GPUs cannot be used, so
        that runs are left to others.
        """
        # Signals first: importing torch takes seconds, and one that comes meanwhile must not kill this process.
        with slots.folder() as folder, stop_flag() as stopping:
            if warning := changed():
                say(warning)
            self.runs.preload()
            if slots_are_gpus() and not gpus_work():
                say(f"the GPUs of {platform.node()} cannot be used, as said above: no run is tried here")
                return FAILED
            return self._work(folder, stopping)

    def _work(self, folder: Path, stopping: StopFlag) -> int:
        children_told = False
        while True:
            self._reap(stopping)
            if stopping():
                if not children_told:
                    children_told = True
                    forking.send(signal.SIGTERM, self.children)
                if not self.children:
                    return self.runs.stopped_code
            elif self._start_one(folder):
                continue
            elif not (self.children or self.queue or self.stale or self.elsewhere):
                self.runs.close()
                return OK
            time.sleep(forking.POLL_SECONDS)

    def _start_one(self, folder: Path) -> bool:
        """Forks a child for the next free run if there is a slot; returns whether the queue got shorter."""
        if self.most is not None and len(self.children) >= self.most:
            return False
        if not self.queue and (self.stale or time.monotonic() - self.refreshed >= REFRESH_SECONDS):
            self._refresh()
        if not self.queue:
            return False
        taken = {child.slot.name for child in self.children.values()}
        slot = slots.acquire(taken, folder, at_least=self.most or 1)
        if slot is None:
            return False
        planned = self.queue.pop(0)
        if self.runs.refuses(planned):
            slot.release()
            return True
        out_of_memory = memory_kills.counted_from_now()
        pid = forking.fork(functools.partial(self._child, run_of(self.runs.plan, planned), slot))
        self.children[pid] = _Child(planned, slot, out_of_memory)
        return True

    def _refresh(self) -> None:
        self.queue, self.elsewhere = self.runs.free([child.run.id for child in self.children.values()])
        # The copies of a job begin at different places, so that they do not all reach for the same runs.
        first = int(len(self.queue) * self.position)
        self.queue = self.queue[first:] + self.queue[:first]
        self.stale, self.refreshed = False, time.monotonic()

    def _reap(self, stopping: StopFlag) -> None:
        for pid, child in list(self.children.items()):
            code = forking.exit_code(pid)
            if code is None:
                continue
            del self.children[pid]
            child.slot.release()
            self.runs.settle(child.run, pid, [code], asked=stopping(), out_of_memory=child.out_of_memory())
            self.stale = True
            if code == BUSY:
                self.queue.clear()  # others are ahead of what this worker knows

    def _child(self, run: Run, slot: slots.Slot, stop: StopFlag) -> int:
        from optathlon.suite.training.team import ALONE  # with torch: see `work`
        from optathlon.suite.working.job import carry_out

        # A slot is free when nobody holds its lock, and this child has inherited those of the others.
        for other in self.children.values():
            other.slot.leave()
        os.environ.update(slot.environment)
        job = self.runs.job(run, "cuda" if slots_are_gpus() else "cpu")
        return carry_out(job, ALONE, job.torch_device, stop)
