"""Carries out one run as a process of its team: claims it, trains it, computes its problem's references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from optathlon.results import Store, this_process
from optathlon.results.errors import StoreError
from optathlon.results.record import Attempt, Owner
from optathlon.suite.errors import FAILED
from optathlon.suite.identity import Run
from optathlon.suite.network_options import AS_TASKS_SAY, NetworkOptions
from optathlon.suite.training.team import Lost, Team
from optathlon.suite.working import references
from optathlon.suite.working.execute import execute, follow
from optathlon.suite.working.exit_codes import BUSY, REFUSED, exit_code_of
from optathlon.suite.working.machine import threads


@dataclass(frozen=True)
class Job:
    """A run to be carried out, by one process or by several that each have a Job of their own."""

    run: Run
    store: Store
    data: Path
    data_workers: int = 0
    """Processes that load data ahead."""
    implementation: str = "auto"
    """How a run that begins is to step; see optimizers.spec.IMPLEMENTATIONS."""
    networks: NetworkOptions = AS_TASKS_SAY
    """How the networks of a run that begins are laid out and carried out."""
    device: str = "auto"
    """"cpu", "cuda", or "auto": a GPU if this process sees one."""
    owner: Callable[[], Owner] = this_process
    """Who claims the run; called in the first process."""
    say: Callable[[str], None] = print
    """Told what people should read."""
    claimed: Callable[[Attempt], None] = lambda _: None
    """Told, in the first process, by which attempt the run is claimed."""
    watch: Callable[[dict[str, Any]], None] = lambda _: None
    """Told the run's events."""
    watched: bool = False
    """Whether the starter of the processes writes down itself that one lost another, as it knows how that one ended."""

    @property
    def torch_device(self) -> torch.device:
        """The device to train on."""
        return torch.device("cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu")


def carry_out(job: Job, team: Team, device: torch.device, stop: Callable[[], bool]) -> int:
    """Carries out `job` with the other processes of `team`, all of which call this. Returns an exit code.

    OK: done; PREEMPTED: saved; BUSY: another's run; REFUSED: could not be claimed; else failed. It is the same in all
    processes, unless one was lost.
    """
    torch.set_num_threads(threads())
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
    if team.rank == 0:
        job.claimed(attempt)
    kind = _part(job, team, attempt, device, stop)
    if kind != "failed":
        try:
            kind = team.first(lambda: kind)  # nobody leaves before the record is there
            team.leave()
        except Lost:  # what the first one has written down stays true
            kind = kind if team.rank == 0 else "failed"
    if team.rank == 0:
        references.ensure_after_outcome(kind, job.store, job.run, job.data, job.say)
    return exit_code_of(kind)


def _part(job: Job, team: Team, attempt: Attempt, device: torch.device, stop: Callable[[], bool]) -> str:
    """Carries out this process's part in the attempt; returns how it ended, as in Ended.kind."""
    if team.rank > 0:
        process = {"device": device, "data_workers": job.data_workers, "implementation": job.implementation}
        return follow(job.run, job.data, team, stop=stop, networks=job.networks, **process)
    ended = execute(
        job.store,
        job.run,
        attempt,
        job.data,
        stop=stop,
        device=device,
        data_workers=job.data_workers,
        implementation=job.implementation,
        networks=job.networks,
        say=job.say,
        watch=job.watch,
        team=team,
        watched=job.watched,
    )
    return ended.kind
