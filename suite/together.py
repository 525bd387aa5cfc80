"""One run on several processes: the part that each of them takes in it, and the same on this machine, forked."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import importlib
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch

from optathlon.results import Store, this_process
from optathlon.results.errors import StoreError
from optathlon.results.record import Attempt, Ended, Owner
from optathlon.results.store.files import utc
from optathlon.results.store.run_state import LOST
from optathlon.suite import failures, references
from optathlon.suite.collective import Fault, Joined, Lost, Meeting, first_fault, meet
from optathlon.suite.distributed import Place, gpu
from optathlon.suite.errors import ENVIRONMENT, FAILED, PREEMPTED
from optathlon.suite.execute import STOPPED_BY, StopFlag, code_of, execute, follow, refusal, stop_flag
from optathlon.suite.run import Run, optimizer_of, task_of
from optathlon.suite.worker import BUSY, threads

REFUSED = ENVIRONMENT
SILENT = 124  # the exit code of a process that had to be killed because it did not notice the end of the others
GRACE_SECONDS, POLL_SECONDS = 30.0, 0.1
PR_SET_PDEATHSIG = 1
IN_ORDER = (0, PREEMPTED, BUSY, REFUSED)


@dataclass(frozen=True)
class Job:
    """A run to be carried out on several processes.

    say: told what people should read. claimed: told by the first process's attempt. watch: of the run's events.
    watched: see suite.execute.
    """

    run: Run
    store: Store
    data: Path
    data_workers: int = 0
    device: str = "auto"
    owner: Callable[[], Owner] = this_process
    say: Callable[[str], None] = print
    claimed: Callable[[Attempt], None] = lambda _: None
    watch: Callable[[dict[str, Any]], None] = lambda _: None
    watched: bool = False


def take_part(job: Job, place: Place, store: Meeting, stop: Callable[[], bool]) -> int:
    """Carry out `job` with the other processes, which meet at `store`. Returns an exit code, on all the same if nothing
    went wrong: 0 done, PREEMPTED saved, BUSY another's run, REFUSED not to be run here, else failed."""
    os.environ.update(gpu(place) if job.device != "cpu" else {})
    device = torch.device("cuda" if job.device != "cpu" and torch.cuda.is_available() else "cpu")
    torch.set_num_threads(threads())
    team = Joined(place, store, device)
    if whys := list(filter(None, team.all(_refusal(job, place)))):
        if team.rank == 0:
            job.say(f"{job.run.label} ({job.run.id}) refused: {whys[0]}")
        team.leave()
        return REFUSED
    try:
        attempt = team.first(lambda: job.store.claim(job.run.id, job.owner()))
    except (StoreError, OSError) as error:
        job.say(f"{job.run.label} ({job.run.id}) cannot be claimed: {error}")
        return REFUSED
    except Lost:
        return FAILED
    if attempt is None:
        team.leave()
        return BUSY
    options: dict[str, Any] = {"stop": stop, "device": device, "data_workers": job.data_workers}
    if team.rank == 0:
        job.claimed(attempt)
        options |= {"tell": job.say, "watch": job.watch, "team": team, "watched": job.watched}
        kind = execute(job.store, job.run, attempt, job.data, **options).kind
    else:
        kind = follow(job.run, job.data, team, **options)
    if kind != "failed":
        try:
            kind = team.first(lambda: kind)  # nobody leaves before the record is there
            team.leave()
        except Lost:  # what the first one has written down stays true
            kind = kind if team.rank == 0 else "failed"
    if team.rank == 0:
        references.after(kind, job.store, job.run, job.data, job.say)
    return code_of(kind)


def _refusal(job: Job, place: Place) -> str | None:
    if job.device == "cuda" and not torch.cuda.is_available():
        return f"process {place.rank}, on {platform.node()}, sees no GPU"
    try:
        return refusal(job.run, job.data, place.world)
    except Exception as error:  # this process must not leave the others waiting
        return f"{type(error).__name__}: {error}"


def on_this_machine(job: Job, processes: int) -> list[int]:
    """Carry out `job` on so many forked processes of this machine, a GPU each if it has any; returns their exit codes,
    negative for a signal. Writes down how the attempt ended if the first process could not.

    A signal to this process or to any of them stops all after the same update, saved. CUDA must not be in use here.
    """
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    preload(job.run)
    job, oom_kills = dataclasses.replace(job, watched=True), failures.oom_kills()

    def part(place: Place, stop: StopFlag) -> int:
        failures.die_first()
        return take_part(job, place, meet(place), stop)

    with tempfile.TemporaryDirectory(prefix="optathlon-") as folder, stop_flag() as flag:
        places = [Place(rank, processes, rank, file=f"{folder}/meeting") for rank in range(processes)]
        pids = [fork(functools.partial(part, place)) for place in places]
        codes = watch_over(pids, flag)
        fault, out_of_memory = first_fault(meet(places[0])), failures.oom_kills() > oom_kills
        write_down(job.store, job.run.id, pids[0], codes, fault, asked=flag(), out_of_memory=out_of_memory)
    return codes


def preload(run: Run) -> None:
    """Import here what each forked process would import for `run`. What cannot be imported fails there, on record."""
    modules = (task_of(run.problem.task).workload, optimizer_of(run.setting.optimizer).factory)
    for module in ("torch._dynamo", "torch.utils.data", *(path.partition(":")[0] for path in modules)):
        with contextlib.suppress(Exception):
            importlib.import_module(module)


def fork(act: Callable[[StopFlag], int]) -> int:
    """Fork a child that exits with what `act` returns; SIGTERM, SIGINT, SIGUSR2 and the end of this process set its
    flag. Returns its pid."""
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPED_BY)
    if pid := os.fork():
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid
    code = 1
    try:
        with stop_flag() as flag:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                flag.raised = signal.SIGTERM
            code = act(flag)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def watch_over(
    pids: Sequence[int],
    stopping: Callable[[], bool],
    trouble: Callable[[], bool] = lambda: False,
) -> list[int]:
    """Wait for the processes of a run that were forked here; returns their exit codes.

    Once `stopping()`, they are asked to stop. When one of them fails, or `trouble()` says that one elsewhere has, the
    others have GRACE_SECONDS to notice and write it down before they are killed (SILENT).
    """
    codes: dict[int, int] = {}
    killed: set[int] = set()
    asked, failed = False, float("inf")
    while len(codes) < len(pids):
        for pid in pids:
            if pid not in codes and (found := os.waitpid(pid, os.WNOHANG))[0]:
                codes[pid] = os.waitstatus_to_exitcode(found[1])
        left = [pid for pid in pids if pid not in codes]
        if stopping() and not asked:
            asked = True
            _signal(left, signal.SIGTERM)
        if left and failed == float("inf") and (trouble() or any(code not in IN_ORDER for code in codes.values())):
            failed = time.monotonic()
        if time.monotonic() - failed > GRACE_SECONDS:
            killed.update(left)
            _signal(left, signal.SIGKILL)
        time.sleep(POLL_SECONDS)
    return [SILENT if pid in killed else codes[pid] for pid in pids]


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)  # none of them is reaped, so none can be another's by now


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


def how(code: int) -> str:
    """In words how a process ended that exited with `code`."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    words = {0: "finished", PREEMPTED: "stopped", BUSY: "found the run taken", REFUSED: "refused it"}
    words[SILENT] = "did not answer and was killed"
    return words.get(code, f"failed with exit code {code}")
