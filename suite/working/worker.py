"""Takes the next free run of a plan, forks a child for it, and goes on until nothing is free or a signal comes."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from optathlon.results import this_process
from optathlon.results.errors import StoreError
from optathlon.results.plan import PlannedRun
from optathlon.results.record import Ended
from optathlon.results.store.files import utc
from optathlon.results.store.refusals import Refusal, RefusalLog
from optathlon.slurm import slots
from optathlon.slurm.cluster import place, this_job
from optathlon.slurm.step import IN_VAIN
from optathlon.suite import failures
from optathlon.suite.code import changed
from optathlon.suite.errors import FAILED, PREEMPTED
from optathlon.suite.identity import Run, optimizer_of, task_of
from optathlon.suite.planning.plan import run_of
from optathlon.suite.working import memory_kills, references
from optathlon.suite.working.assignment import Assignment
from optathlon.suite.working.claimable import free
from optathlon.suite.working.exits import BUSY, _how
from optathlon.suite.working.log import say
from optathlon.suite.working.machine import _gpus_work, slot_has_gpu, threads

POLL_SECONDS, REFRESH_SECONDS = 0.05, 2.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)


@dataclass
class _Child:
    run: PlannedRun
    slot: slots.Slot
    oom_kills: int


class Worker:
    """One process that never touches CUDA itself: its children, forked with everything imported, train one run each."""

    def __init__(self, assignment: Assignment) -> None:
        self.given = assignment
        self.store, self.plan = assignment.store, assignment.plan
        self.children: dict[int, _Child] = {}
        self.queue: list[PlannedRun] = []
        self.refused: set[str] = set()
        self.refusals = RefusalLog(self.store, self.plan.head.name)
        self.stale, self.refreshed = True, 0.0
        self.owner, self.place = this_process(*this_job()), place()
        self.elsewhere = False
        self.stopping, self.got_on = False, False
        self.folder: Path | None = None

    def work(self) -> int:
        """Until nothing of the plan is free, running here, or running elsewhere (which may free more). Returns 0; after
        a signal 75, or 76 if no run has got on; 1 where the GPUs cannot be used, so that runs are left to others."""
        with slots.folder() as self.folder:
            return self._work()

    def _work(self) -> int:
        for number in SIGNALS:
            signal.signal(number, self._stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # slurm.step blocks them until somebody listens
        if told := changed():
            say(told)
        self._preload()
        if slot_has_gpu() and not _gpus_work():
            say(f"the GPUs of {platform.node()} cannot be used, as said above: no run is tried here")
            return FAILED
        while True:
            self._reap()
            if self.stopping:
                if not self.children:
                    return PREEMPTED if self.got_on else IN_VAIN
            elif self._start_one():
                continue
            elif not (self.children or self.queue or self.stale or self.elsewhere):
                with contextlib.suppress(OSError, StoreError):
                    self.store.compact()
                return 0
            time.sleep(POLL_SECONDS)

    def _stop(self, number: int, _: object) -> None:
        self.stopping = True
        for pid in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _preload(self) -> None:
        for module in ("torch", "torch._dynamo", "torch.utils.data", "optathlon.suite.working.execute"):
            importlib.import_module(module)
        for name in self.given.tasks or {problem["task"] for problem in self.plan.head.problems.values()}:
            with _only_its_own_runs(name):
                importlib.import_module(task_of(name).workload.partition(":")[0])
        for name in {setting["optimizer"] for setting in self.plan.head.settings.values()}:
            with _only_its_own_runs(name):
                importlib.import_module(optimizer_of(name).factory.partition(":")[0])

    def _start_one(self) -> bool:
        """Fork a child for the next free run if there is a slot; True if one was forked."""
        if self.given.slots is not None and len(self.children) >= self.given.slots:
            return False
        if not self.queue and (self.stale or time.monotonic() - self.refreshed >= REFRESH_SECONDS):
            self._refresh()
        if not self.queue:
            return False
        taken = {child.slot.name for child in self.children.values()}
        slot = slots.acquire(taken, self.folder, at_least=self.given.slots or 1)
        if slot is None:
            return False
        planned = self.queue.pop(0)
        run = run_of(self.plan, planned)
        if why := self._refusal(run):
            slot.release()
            self._refuse(planned, why)
            return True
        oom_kills = memory_kills.oom_kills()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        pid = os.fork()
        if pid == 0:
            self._child(run, slot)
        self.children[pid] = _Child(planned, slot, oom_kills)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return True

    def _refusal(self, run: Run) -> str | None:
        from optathlon.suite.working.execute import refusal

        try:
            return refusal(run, self.given.data)
        except Exception as error:  # what is wrong with one run's task or data stops no other
            return f"{type(error).__name__}: {error}"

    def _refuse(self, planned: PlannedRun, why: str) -> None:
        """Leave a run alone from now on, and say why where `optathlon status` finds it."""
        self.refused.add(planned.id)
        say(f"{planned.row} on {planned.column}, seed {planned.seed} ({planned.id}) refused: {why}")
        with contextlib.suppress(OSError):
            self.refusals.append(Refusal(run=planned.id, why=why, host=platform.node(), time=utc()))

    def _refresh(self) -> None:
        busy = {c.run.id for c in self.children.values()} | self.refused
        self.queue, self.elsewhere = free(self.given, self.owner, busy)
        # The copies of a job begin at different places, so that they do not all reach for the same runs.
        at = int(len(self.queue) * self.place)
        self.queue = self.queue[at:] + self.queue[:at]
        self.stale, self.refreshed = False, time.monotonic()

    def _reap(self) -> None:
        for pid, child in list(self.children.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            del self.children[pid]
            child.slot.release()
            code = os.waitstatus_to_exitcode(status)
            self._write_down(pid, child, code)
            self.stale = True
            self.got_on = self.got_on or code == 0 or (code == PREEMPTED and self._moved(child.run.id))
            if code == BUSY:
                self.queue.clear()  # others are ahead of what this worker knows
            say(f"{child.run.row} on {child.run.column}, seed {child.run.seed} ({child.run.id}): {_how(code)}")

    def _moved(self, run_id: str) -> bool:
        endings = self.store.endings(run_id)
        return bool(endings) and endings[max(endings)].moved

    def _write_down(self, pid: int, child: _Child, code: int) -> None:
        """Say how an attempt ended whose process could not say it itself."""
        out_of_memory = memory_kills.oom_kills() > child.oom_kills
        kind = "stopped" if self.stopping and code < 0 else "failed"
        how = f"left with exit code {code} and said nothing" if code in (0, PREEMPTED, BUSY) else _how(code)
        reason = how + (", out of memory" if out_of_memory and code < 0 else "")
        try:
            here = [a for a in self.store.attempts(child.run.id) if a.owner.host == platform.node()]
            if mine := [a.number for a in here if a.owner.pid == pid]:
                failure = failures.of_exit(code, out_of_memory)
                self.store.end(
                    Ended(run=child.run.id, number=mine[-1], kind=kind, reason=reason, failure=failure, ended=utc())
                )
            elif code not in (0, 75, BUSY):  # or it would be started again and again
                self._refuse(child.run, f"it could not be claimed ({reason}); the worker's log says why")
        except (OSError, StoreError) as error:  # the attempt is provably dead without it
            say(f"how run {child.run.id} ended could not be written down: {error}")

    def _child(self, run: Run, slot: slots.Slot) -> NoReturn:
        code = 1
        try:
            memory_kills.die_first()
            for other in self.children.values():
                other.slot.leave()
            os.environ.update(slot.environment)
            code = self._claim_and_run(run)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _claim_and_run(self, run: Run) -> int:
        import torch

        from optathlon.suite.working.execute import execute, exit_code
        from optathlon.suite.working.stopping import STOPPED_BY, stop_flag

        with stop_flag() as flag:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPED_BY)
            attempt = self.store.claim(run.id, this_process(*this_job()))
            if attempt is None:
                return BUSY
            log = os.open(self.store.log(attempt), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            for stream in (1, 2):
                os.dup2(log, stream)
            torch.set_num_threads(threads())
            device = torch.device("cuda" if slot_has_gpu() else "cpu")
            workers = self.given.data_workers
            ended = execute(self.store, run, attempt, self.given.data, stop=flag, device=device, data_workers=workers)
            references.after(ended.kind, self.store, run, self.given.data, print)
            return exit_code(ended)


@contextlib.contextmanager
def _only_its_own_runs(name: str) -> Iterator[None]:
    """What fails to import fails again, with its reason on record, in the runs that need it; not in this worker."""
    try:
        yield
    except Exception as error:
        say(f"{name} cannot be imported: {type(error).__name__}: {error}")
