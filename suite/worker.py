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

from results import Store, this_process
from results.errors import StoreError
from results.files import utc
from results.record import Ended, Plan, PlannedRun
from slurm import slots
from suite.plan import run_of
from suite.run import Run, optimizer_of, task_of
from suite.wanted import Stage, wanted

BUSY = 3
POLL_SECONDS, REFRESH_SECONDS = 0.05, 2.0


@dataclass(frozen=True)
class Assignment:
    """What a worker works on. slots: at most so many runs at once."""

    store: Store
    plan: Plan
    data: Path
    stage: Stage = "all"
    slots: int | None = None
    data_workers: int = 0


@dataclass
class _Child:
    run: PlannedRun
    slot: slots.Slot


class Worker:
    """One process that never touches CUDA itself: its children, forked with everything imported, train one run each."""

    def __init__(self, assignment: Assignment) -> None:
        self.given = assignment
        self.store, self.plan = assignment.store, assignment.plan
        self.children: dict[int, _Child] = {}
        self.queue: list[PlannedRun] = []
        self.refused: set[str] = set()
        self.stale, self.refreshed = True, 0.0
        self.elsewhere = False
        self.stopping = False

    def work(self) -> int:
        """Until nothing of the plan is free, running here, or running elsewhere (which may free more). Returns 0, or 75
        after a signal."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            signal.signal(number, self._stop)
        self._preload()
        while True:
            self._reap()
            if self.stopping:
                if not self.children:
                    return 75
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
        for module in ("torch", "torch._dynamo", "torch.utils.data", "suite.execute"):
            importlib.import_module(module)
        for name in {problem["task"] for problem in self.plan.head.problems.values()}:
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
        slot = slots.acquire({c.slot.name for c in self.children.values()})
        if slot is None:
            return False
        planned = self.queue.pop(0)
        run = run_of(self.plan, planned)
        if why := self._refusal(run):
            self.refused.add(planned.id)
            slot.release()
            say(f"{run.label} ({planned.id}) refused: {why}")
            return True
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2))
        pid = os.fork()
        if pid == 0:
            self._child(run, slot)
        self.children[pid] = _Child(planned, slot)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return True

    def _refusal(self, run: Run) -> str | None:
        from suite.execute import refusal

        try:
            return refusal(run, self.given.data)
        except Exception as error:  # what is wrong with one run's task or data stops no other
            return f"{type(error).__name__}: {error}"

    def _refresh(self) -> None:
        busy = {c.run.id for c in self.children.values()} | self.refused
        states = self.store.states(dict.fromkeys(r.id for r in self.plan.runs))
        self.elsewhere = any(s.kind == "running" and i not in busy for i, s in states.items())
        self.queue = [
            r
            for r in wanted(self.store, self.plan, self.given.stage)
            if r.id not in busy and states[r.id].kind in ("waiting", "stopped")
        ]
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
            say(f"{child.run.row} on {child.run.column}, seed {child.run.seed} ({child.run.id}): {_how(code)}")

    def _write_down(self, pid: int, child: _Child, code: int) -> None:
        """Say how an attempt ended whose process could not say it itself."""
        try:
            for attempt in self.store.attempts(child.run.id)[-1:]:
                if attempt.owner.pid == pid and attempt.owner.host == platform.node():
                    self.store.end(
                        Ended(run=child.run.id, number=attempt.number, kind="failed", reason=_how(code), ended=utc())
                    )
        except (OSError, StoreError) as error:  # the attempt is provably dead without it
            say(f"how run {child.run.id} ended could not be written down: {error}")

    def _child(self, run: Run, slot: slots.Slot) -> NoReturn:
        code = 1
        try:
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

        from suite.execute import STOPPED_BY, execute, exit_code, stop_flag

        with stop_flag() as flag:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPED_BY)
            attempt = self.store.claim(run.id, this_process())
            if attempt is None:
                return BUSY
            log = os.open(self.store.log(attempt), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            for stream in (1, 2):
                os.dup2(log, stream)
            torch.set_num_threads(threads())
            device = torch.device("cuda" if slot_has_gpu() else "cpu")
            workers = self.given.data_workers
            return exit_code(
                execute(self.store, run, attempt, self.given.data, stop=flag, device=device, data_workers=workers)
            )


@contextlib.contextmanager
def _only_its_own_runs(name: str) -> Iterator[None]:
    """What fails to import fails again, with its reason on record, in the runs that need it; not in this worker."""
    try:
        yield
    except Exception as error:
        say(f"{name} cannot be imported: {type(error).__name__}: {error}")


def threads() -> int:
    """Torch threads of a run: one unless the user says otherwise, so that results do not depend on the machine."""
    return int(os.environ.get("OMP_NUM_THREADS") or 1)


def slot_has_gpu() -> bool:
    return any(name.startswith("gpu-") for name in slots.names())


def say(message: str) -> None:
    print(f"{utc()} {message}", file=sys.stderr, flush=True)


def _how(code: int) -> str:
    if code == BUSY:
        return "taken by another worker"
    if code == 75:
        return "stopped, will go on"
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (" (out of memory, or by hand)" if name == "SIGKILL" else "")
    return "ended" if code == 0 else f"failed with exit code {code}"
