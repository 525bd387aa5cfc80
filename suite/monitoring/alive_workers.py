"""The workers of a sweep, wherever they were submitted: which of them are alive, and how to stop them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from optathlon.results import State, Store
from optathlon.results.errors import StoreError
from optathlon.results.plan import Plan
from optathlon.results.record import Ended
from optathlon.results.store.files import exists, read, server_time, utc
from optathlon.results.store.run_state import LOST
from optathlon.slurm.cluster import Alive, Cluster
from optathlon.slurm.local import LocalCluster
from optathlon.slurm.slurm import SlurmCluster
from optathlon.suite.planning.ready_runs import Stage
from optathlon.suite.planning.scope import Scope

HANDLE, WITHDRAWN = "handle", "withdrawn"
"""Files in a job's folder: its handle once it is submitted; or that it was announced and never submitted."""

SUBMITTING_SECONDS = 120.0
"""A launch that announced a job and has neither submitted nor withdrawn it is taken to be at it for so long."""

ENDED_BY_SLURM = frozenset({"TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "CANCELLED", "DEADLINE", "REVOKED"})
"""Final states of jobs whose end is no failure of the runs in them."""


@dataclass(frozen=True)
class Submitted:
    """A job of workers, as a launch wrote it down."""

    handle: str
    cluster: str
    """"local" or "slurm"."""
    plan: int
    """The number of the plan that it works on."""
    stage: Stage = "all"
    tasks: frozenset[str] = frozenset()
    """The tasks whose runs it takes; empty: all."""
    rows: frozenset[str] = frozenset()
    """The rows whose runs it takes; empty: all."""
    folder: str = ""
    """Its own folder, below the store."""
    follows: bool = False
    """Whether it goes on with what another job leaves behind."""
    launch: int = 0
    """The number of its launch among all launches of the sweep."""

    @property
    def scope(self) -> Scope:
        """The runs that it takes."""
        return Scope(self.tasks, self.rows)


@dataclass(frozen=True)
class Workers:
    """The workers of a sweep: per job, the copies of it that are alive."""

    alive: Mapping[Submitted, Alive]

    @property
    def names(self) -> list[str]:
        """Names of all workers that run or may start some day."""
        return [
            name
            for alive in self.alive.values()
            for name in (*alive.running, *alive.pending)
            if name not in alive.never
        ]

    @property
    def pending(self) -> list[str]:
        """Names of the workers that wait in a queue and will start by themselves."""
        return [name for alive in self.alive.values() for name in alive.pending if name not in alive.held | alive.never]

    @property
    def held(self) -> list[str]:
        """Names of the workers that start only when somebody releases them."""
        return [name for alive in self.alive.values() for name in alive.pending if name in alive.held]

    @property
    def never(self) -> list[str]:
        """Names of the workers that cannot start as they were submitted."""
        return [name for alive in self.alive.values() for name in alive.pending if name in alive.never]

    def reasons(self, names: Collection[str]) -> list[str]:
        """Returns the distinct reasons why the workers `names` wait, in the scheduler's words."""
        asked = set(names)
        reasons = {why for alive in self.alive.values() for name, why in alive.why.items() if name in asked}
        return sorted(reasons - {"None", ""})

    def of_plan(self, plan: int) -> Workers:
        """Returns the workers of one plan."""
        return Workers({job: alive for job, alive in self.alive.items() if job.plan == plan})

    def without_waiting(self, plan: int, mine: str) -> tuple[Workers, list[str]]:
        """Returns all workers but those that wait behind other jobs or can never start, and the names of the latter.

        Only copies of `plan`'s jobs whose handles begin with `mine` are left out.
        """
        staying, gone = {}, []
        for job, alive in self.alive.items():
            out = alive.behind | alive.never if job.plan == plan and job.handle.startswith(mine) else frozenset()
            staying[job] = replace(alive, pending=tuple(name for name in alive.pending if name not in out))
            gone += [name for name in alive.pending if name in out]
        return Workers(staying), gone

    @property
    def unknown(self) -> list[str]:
        """Handles of the jobs of which this process cannot tell whether they are alive."""
        return [job.handle for job, alive in self.alive.items() if not alive.known]

    def lost(self, states: Mapping[str, State]) -> list[str]:
        """Returns the runs recorded as running whose Slurm job has left the queue: nobody carries them out."""
        known = {job.handle: alive for job, alive in self.alive.items() if alive.known and job.cluster == "slurm"}
        runs = []
        for run, state in states.items():
            name = (state.owner.job or "") if state.kind == "running" and state.owner else ""
            alive = known.get(name.rpartition(":")[0])
            if alive is not None and name not in (*alive.running, *alive.pending):
                runs.append(run)
        return runs


def held_message(workers: Workers) -> str:
    """Says how many workers are held, why, and what lets them start."""
    jobs = sorted({name.rpartition(":")[2].partition("_")[0] for name in workers.held})
    reasons = workers.reasons(workers.held)
    release = f"`scontrol release {' '.join(jobs)}`"
    who = "only an administrator of the cluster" if reasons == ["JobHeldAdmin"] else release
    return f"{len(workers.held)} workers are held ({', '.join(reasons)}): {who} lets them start; or cancel, and launch"


@functools.cache
def cluster(kind: str) -> Cluster:
    """Returns this process's only cluster of a `kind`: it remembers for a while what the controller said."""
    return SlurmCluster() if kind == "slurm" else LocalCluster()


def look(store: Store, name: str, number: int | None = None) -> Workers:
    """Returns the workers of sweep `name`, of its plan `number` only if given; asks a Slurm cluster once for all."""
    jobs = [job for job in submitted(store, name) if number in (None, job.plan)]
    alive: dict[str, Alive] = {}
    for kind in {job.cluster for job in jobs}:
        alive |= cluster(kind).alive([job.handle for job in jobs if job.cluster == kind])
    return Workers({job: alive[job.handle] for job in jobs})


def mark_as_ended(store: Store, jobs: Mapping[str, str], states: Mapping[str, State], slurm: SlurmCluster) -> None:
    """Marks runs as ended whose job is over, so that no worker waits for the end of their lease.

    jobs: by run, the name of the copy of a job that it was in. What Slurm itself ended is no failure of the run.
    """
    ended = slurm.ended(jobs.values())
    for run, job in jobs.items():
        state = ended.get(job, "")
        reason = f"died with its job {job.rpartition(':')[2]}{f' ({state})' if state else ''}, which said nothing"
        kind, failure = ("stopped", "") if state in ENDED_BY_SLURM else ("failed", LOST)
        store.end(Ended(run=run, number=states[run].attempt, kind=kind, reason=reason, failure=failure, ended=utc()))


def mark_followed_as_ended(store: Store, plan: Plan, handles: Collection[str], slurm: SlurmCluster) -> None:
    """Marks as ended every run of `plan` still recorded as running in `handles`.

    The caller is a job that depends on those jobs, so they are over. It does so also where nobody launches again, and
    where the node has no Slurm commands to ask.
    """
    states = store.states(dict.fromkeys(run.id for run in plan.runs))
    jobs = {run: state.owner.job or "" for run, state in states.items() if state.kind == "running" and state.owner}
    mark_as_ended(store, {run: job for run, job in jobs.items() if job.rpartition(":")[0] in handles}, states, slurm)


def submitting(store: Store, name: str, number: int) -> bool:
    """Whether a launch of plan `number` of sweep `name` is submitting jobs at this moment, or died at it just now."""
    for _, submission in store.own_submissions(name):
        if submission.get("cluster") == "slurm" and submission.get("plan") == number:
            recent = _seconds_since(submission.get("created"), store) < SUBMITTING_SECONDS
            for job in _of_slurm(number, submission.get("jobs")):
                folder = store.root / job.folder
                settled = any(exists(folder / file) for file in (HANDLE, WITHDRAWN))
                if recent and not settled:
                    return True
    return False


def _seconds_since(moment: Any, store: Store) -> float:
    """Returns how long ago `moment` was by the clock of the store's file server, on which all hosts agree."""
    try:
        return abs(server_time(store.root) - datetime.fromisoformat(str(moment)).timestamp())
    except ValueError:
        return SUBMITTING_SECONDS


def cancel(store: Store, name: str) -> list[str]:
    """Asks every worker of sweep `name` to stop, so that its runs save; returns the handles of those that were alive.

    Raises ClusterError where a scheduler does not answer.
    """
    jobs = list(submitted(store, name))
    asked = []
    for kind in ("local", "slurm"):
        if handles := [job.handle for job in jobs if job.cluster == kind]:
            asked += cluster(kind).cancel(handles)
    return asked


def submitted(store: Store, name: str) -> Iterator[Submitted]:
    """Yields every job that was ever submitted for sweep `name`; submissions that cannot be read are passed over."""
    for launch, submission in store.own_submissions(name):
        plan = submission.get("plan")
        if not isinstance(plan, int):
            continue
        if submission.get("cluster") == "local":
            folder = str(submission.get("folder"))
            try:
                handle = read(store.root / folder / HANDLE)
            except (OSError, StoreError):
                continue
            if handle is not None:
                yield Submitted(handle.decode(errors="replace"), "local", plan, folder=folder, launch=launch)
        else:
            yield from _of_slurm(plan, submission.get("jobs"), launch)


def _of_slurm(plan: int, jobs: Any, launch: int = 0) -> Iterator[Submitted]:
    for job in jobs if isinstance(jobs, list) else ():
        with contextlib.suppress(msgspec.ValidationError, ValueError, TypeError):
            yield msgspec.convert({**job, "cluster": "slurm", "plan": plan, "launch": launch}, Submitted)
