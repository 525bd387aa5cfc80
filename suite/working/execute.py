"""Carries out one claimed run in this process: builds it, trains it, commits its record, says how it ended."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import torch

from optathlon.results.errors import StoreError
from optathlon.results.record import Attempt, Ended, Record, file_digest
from optathlon.results.store.events import EventLog
from optathlon.results.store.files import utc
from optathlon.results.store.run_state import LOST
from optathlon.results.store.store import Store
from optathlon.suite import error_text, failures, user_sources
from optathlon.suite.errors import Preempted
from optathlon.suite.failures import Fault
from optathlon.suite.identity import Run, task_of
from optathlon.suite.network_options import AS_TASKS_SAY, NetworkOptions
from optathlon.suite.training.checkpoint import Checkpoints, Fenced, SharedCheckpoints
from optathlon.suite.training.evaluation import Outcome
from optathlon.suite.training.loop import train
from optathlon.suite.training.seeds import seed
from optathlon.suite.training.surroundings import Surroundings
from optathlon.suite.training.team import ALONE, Joined, Lost, Team
from optathlon.suite.working import provenance
from optathlon.suite.working.outcome import record_of
from optathlon.tasks import verified_workload
from optathlon.tasks.workload import Workload

BEAT_SECONDS = 60.0
"""How often an attempt says that it is alive; see results.store.claims."""


def build(run: Run, data: Path, device: torch.device, data_workers: int, team: Team = ALONE) -> Workload:
    """Returns the run's workload on this process of `team`, its initial weights a function of the seed."""
    seed(device, run.seed, "init")
    process = {"device": device, "seed": run.seed, "rank": team.rank, "world": team.world, "data_workers": data_workers}
    return verified_workload.build(task_of(run.problem.task), run.protocol, Path(data), **process)


def execute(
    store: Store,
    run: Run,
    attempt: Attempt,
    data: Path,
    *,
    stop: Callable[[], bool],
    device: torch.device,
    data_workers: int = 0,
    say: Callable[[str], None] = print,
    watch: Callable[[dict[str, Any]], None] = lambda _: None,
    team: Team = ALONE,
    watched: bool = False,
    implementation: str = "auto",
    networks: NetworkOptions = AS_TASKS_SAY,
) -> Ended:
    """Trains the claimed `run` and commits its record; the returned Ended is also written to the store.

    Never raises what the run itself does wrong: that is an Ended of kind "failed" with the traceback. On several
    processes this is the first one's part; the others `follow`. watched: as in `Job`. implementation, networks: as in
    `Surroundings`.
    """
    with _beating(store, attempt), contextlib.closing(store.event_log(attempt)) as events:
        report = _AttemptReport(store, attempt, events, watch)
        try:
            files = Checkpoints(store.work(run.id), run.id, say, attempt.number, lambda: store.fenced(attempt))
            surroundings = Surroundings(
                SharedCheckpoints(team, files) if isinstance(team, Joined) else files,
                team=team,
                event=report.event,
                stop=stop,
                fenced=lambda: store.fenced(attempt),
                moved=report.note_moved,
                implementation=implementation,
                networks=networks,
            )
            with contextlib.closing(build(run, data, device, data_workers, team)) as workload:
                sources = user_sources.keep(store, run)
                outcome = train(run, workload, surroundings)
            about = _provenance(attempt, device, data_workers, surroundings, outcome) | sources
            ended = report.commit(record_of(run, outcome, about))
        except Preempted:
            ended = report.ended("stopped", "asked to stop; will go on from its checkpoint")
        except Fenced:
            ended = report.ended("fenced", "a newer attempt owns the run")
        except BaseException as error:  # sys.exit in a task too: signals set a flag and raise nothing
            ended = report.ended_by(team.blame(_fault(error, run, stop())))
    if not (watched and ended.kind == "failed" and ended.failure == LOST):
        _write_down(store, ended, say)
    return ended


def _provenance(
    attempt: Attempt, device: torch.device, data_workers: int, surroundings: Surroundings, outcome: Outcome
) -> dict[str, Any]:
    """Returns the record's provenance, without the sources."""
    implementation: dict[str, Any] = {"asked": surroundings.implementation, "ran": outcome.state.implementations()}
    if before := outcome.state.all_implementations()[:-1]:
        implementation["ran_before"] = before
    clock = surroundings.clock.report()
    collected = provenance.collect(attempt, device, data_workers, clock, implementation, surroundings.team)
    return collected | {"networks": outcome.state.networks.described(), "cost": outcome.cost}


def _write_down(store: Store, ended: Ended, say: Callable[[str], None]) -> None:
    """Writes down how an attempt ended; on a full or broken disk only the log says it. Others see that its process is
    over."""
    try:
        store.end(ended)
    except (OSError, StoreError) as error:
        how = f"{ended.kind}: {ended.reason}" if ended.reason else ended.kind
        say(f"how this attempt ended ({how}) could not be written down: {error}")


class _AttemptReport:
    """Writes down what an attempt says while it trains, and how it ended."""

    def __init__(
        self, store: Store, attempt: Attempt, events: EventLog, watch: Callable[[dict[str, Any]], None]
    ) -> None:
        self.store, self.attempt, self.events, self.watch = store, attempt, events, watch
        self.moved = False

    def event(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self.watch(event)

    def note_moved(self) -> None:
        if not self.moved:
            self.store.note_moved(self.attempt)
        self.moved = True

    def commit(self, record: Record) -> Ended:
        if self.store.fenced(self.attempt):  # asked by this process alone: the others took part until `train` ended
            return self.ended("fenced", "a newer attempt owns the run")
        if self.store.commit(record):
            # So that an audit sees whether anybody changes the record afterwards.
            return msgspec.structs.replace(self.ended(record.status), record=file_digest(msgspec.json.encode(record)))
        return self.ended("fenced", "another attempt committed first")

    def ended(self, kind: Any, reason: str = "", trace: str = "", failure: str = "") -> Ended:
        return Ended(
            run=self.attempt.run,
            number=self.attempt.number,
            kind=kind,
            reason=reason,
            trace=trace,
            failure=failure,
            moved=self.moved,
            ended=utc(),
        )

    def ended_by(self, fault: Fault) -> Ended:
        with contextlib.suppress(OSError):
            if self.store.fenced(self.attempt):  # whoever took over may have removed what this one was writing
                reason = f"a newer attempt owns the run, and then {fault.reason}"
                return self.ended("fenced", reason, fault.trace, fault.failure)
        if fault.asked:  # what else goes down with the job is not this run's fault
            return self.ended("stopped", f"asked to stop, and then {fault.reason}", fault.trace, fault.failure)
        return self.ended("failed", fault.reason, fault.trace, fault.failure)


def follow(
    run: Run,
    data: Path,
    team: Team,
    *,
    stop: Callable[[], bool],
    device: torch.device,
    data_workers: int = 0,
    implementation: str = "auto",
    networks: NetworkOptions = AS_TASKS_SAY,
) -> str:
    """Trains, as another process than the first, a run that the first process of `team` executes; writes nothing.

    Returns how it ended, as in Ended.kind.
    """
    surroundings = Surroundings(
        SharedCheckpoints(team, None), team=team, stop=stop, implementation=implementation, networks=networks
    )
    try:
        with contextlib.closing(build(run, data, device, data_workers, team)) as workload:
            return train(run, workload, surroundings).status
    except Preempted:
        return "stopped"
    except Fenced:
        return "fenced"
    except BaseException as error:
        team.blame(_fault(error, run, stop()))  # for the first one to write down
        return "failed"


def _fault(error: BaseException, run: Run, asked: bool) -> Fault:
    failure = LOST if isinstance(error, Lost) else failures.classify_error(error, run)
    reason = error_text.legible(f"{type(error).__name__}: {error_text.message_of(error)}")
    return Fault(reason, error_text.legible(traceback.format_exc(), error_text.TRACE), failure, asked)


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
