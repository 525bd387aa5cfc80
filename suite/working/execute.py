"""Carries out one claimed run in this process: builds it, trains it, commits its record, says how it ended."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from optathlon.results.record import Attempt, Ended
from optathlon.results.store.files import utc
from optathlon.results.store.run_state import LOST
from optathlon.results.store.store import Store
from optathlon.suite import failures, readable
from optathlon.suite.errors import PREEMPTED, Preempted
from optathlon.suite.identity import Run, optimizer_of, task_of
from optathlon.suite.training.checkpoint import Checkpoints, SharedCheckpoints
from optathlon.suite.training.loop import train
from optathlon.suite.training.place import unshareable
from optathlon.suite.training.seeds import seed
from optathlon.suite.training.surroundings import Fenced, Surroundings
from optathlon.suite.training.team import ALONE, Fault, Joined, Lost, Team
from optathlon.suite.working import provenance
from optathlon.suite.working.outcome import _record
from optathlon.tasks import verified_workload
from optathlon.tasks.data.dataset import edition
from optathlon.tasks.workload import Workload

BEAT_SECONDS = 60.0
AGAIN = "launch the sweep again"


def build(run: Run, data: Path, device: torch.device, data_workers: int, team: Team = ALONE) -> Workload:
    """The run's workload on this process of `team`, its initial weights a function of the seed."""
    seed(device, run.seed, "init")
    process = {"device": device, "seed": run.seed, "rank": team.rank, "world": team.world, "data_workers": data_workers}
    return verified_workload.build(task_of(run.problem.task), run.protocol, Path(data), **process)


def refusal(run: Run, data: Path, world: int = 1) -> str | None:
    """Why this machine must not carry out `run` on `world` processes (other code or data than it was planned with, or
    updates that cannot be shared), or None."""
    task, spec = task_of(run.problem.task), optimizer_of(run.setting.optimizer)
    if task.version != run.problem.version:
        return f"task {task.name} is version {task.version} here, planned was {run.problem.version}; {AGAIN}"
    if spec.version != run.setting.version:
        return f"optimizer {spec.name} is version {spec.version} here, planned was {run.setting.version}; {AGAIN}"
    for name, planned in run.problem.data.items():
        if (found := edition(data, name)) != planned:
            return f"data set {name} in {data} is edition {found}, planned was {planned}; {AGAIN}"
    return unshareable(run.protocol, world)


def execute(
    store: Store,
    run: Run,
    attempt: Attempt,
    data: Path,
    *,
    stop: Callable[[], bool],
    device: torch.device,
    data_workers: int = 0,
    tell: Callable[[str], None] = print,
    watch: Callable[[dict[str, Any]], None] = lambda _: None,
    team: Team = ALONE,
    watched: bool = False,
) -> Ended:
    """Train the claimed `run` and commit its record; the returned Ended is also written to the store. Never raises what
    the run itself does wrong: that is an Ended of kind "failed" with the traceback.

    On several processes this is the first one's part; the others `follow`. watched: whoever started them all writes
    down itself that this one lost another, because it knows how that one ended.
    """
    moved: list[bool] = []
    failure = ""
    events = store.event_log(attempt)

    def note(event: dict[str, Any]) -> None:
        events.append(event)
        watch(event)

    def note_moved() -> None:
        if not moved:
            store.note_moved(attempt)
        moved.append(True)

    with _beating(store, attempt), contextlib.closing(events):
        try:
            files = Checkpoints(store.work(run.id), run.id, tell)
            around = Surroundings(
                SharedCheckpoints(team, files) if isinstance(team, Joined) else files,
                team=team,
                event=note,
                stop=stop,
                fenced=lambda: store.fenced(attempt),
                moved=note_moved,
            )
            outcome = train(run, build(run, data, device, data_workers, team), around)
            record = _record(run, outcome, provenance.of(attempt, device, data_workers, around.clock.report(), team))
            kind, reason, trace = record.status, "", ""
            if not store.commit(record):
                kind, reason = "fenced", "another attempt committed first"
        except Preempted:
            kind, reason, trace = "stopped", "asked to stop; will go on from its checkpoint", ""
        except Fenced:
            kind, reason, trace = "fenced", "a newer attempt owns the run", ""
        except BaseException as error:  # sys.exit in a task too: signals set a flag and raise nothing
            fault = team.blame(_fault(error, run, stop()))
            kind, reason, trace, failure = "failed", fault.reason, fault.trace, fault.failure
            if fault.asked:  # what else goes down with the job is not this run's fault
                kind, reason = "stopped", f"asked to stop, and then {reason}"
    ended = Ended(
        run=run.id,
        number=attempt.number,
        kind=kind,
        reason=reason,
        trace=trace,
        failure=failure,
        moved=bool(moved),
        ended=utc(),
    )
    if not (watched and kind == "failed" and failure == LOST):
        store.end(ended)
    return ended


def follow(
    run: Run, data: Path, team: Joined, *, stop: Callable[[], bool], device: torch.device, data_workers: int = 0
) -> str:
    """The part of the other processes in a run that the first one of `team` executes: they train with it and write
    nothing. Returns how it ended, as in Ended.kind."""
    around = Surroundings(SharedCheckpoints(team, None), team=team, stop=stop)
    try:
        return train(run, build(run, data, device, data_workers, team), around).status
    except Preempted:
        return "stopped"
    except Fenced:
        return "fenced"
    except BaseException as error:
        team.blame(_fault(error, run, stop()))  # for the first one to write down
        return "failed"


def _fault(error: BaseException, run: Run, asked: bool) -> Fault:
    failure = LOST if isinstance(error, Lost) else failures.of_error(error, run)
    reason = readable.legible(f"{type(error).__name__}: {readable.said(error)}")
    return Fault(reason, readable.legible(traceback.format_exc(), readable.TRACE), failure, asked)


def exit_code(ended: Ended) -> int:
    """The process's exit code for how an attempt ended: 75 asks to be continued."""
    return code_of(ended.kind)


def code_of(kind: str) -> int:
    """As exit_code, for an Ended.kind."""
    return {"finished": 0, "diverged": 0, "fenced": 0, "stopped": PREEMPTED}.get(kind, 1)


@contextlib.contextmanager
def _beating(store: Store, attempt: Attempt) -> Iterator[None]:
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                store.beat(attempt)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
