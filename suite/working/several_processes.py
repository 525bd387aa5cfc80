"""One run on several processes: the part that each of them takes in it, and the same on this machine, forked."""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import tempfile
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
from optathlon.suite.training.place import Place, gpu
from optathlon.suite.training.team import Joined, Lost, Meeting, first_fault, meet
from optathlon.suite.working import memory_kills, references
from optathlon.suite.working.endings import write_down
from optathlon.suite.working.execute import code_of, execute, follow, refusal
from optathlon.suite.working.exits import BUSY, REFUSED
from optathlon.suite.working.forking import fork, preload, watch_over
from optathlon.suite.working.machine import threads
from optathlon.suite.working.stopping import StopFlag, stop_flag


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
    job, oom_kills = dataclasses.replace(job, watched=True), memory_kills.oom_kills()

    def part(place: Place, stop: StopFlag) -> int:
        memory_kills.die_first()
        return take_part(job, place, meet(place), stop)

    with tempfile.TemporaryDirectory(prefix="optathlon-") as folder, stop_flag() as flag:
        places = [Place(rank, processes, rank, file=f"{folder}/meeting") for rank in range(processes)]
        pids = [fork(functools.partial(part, place)) for place in places]
        codes = watch_over(pids, flag)
        fault, out_of_memory = first_fault(meet(places[0])), memory_kills.oom_kills() > oom_kills
        write_down(job.store, job.run.id, pids[0], codes, fault, asked=flag(), out_of_memory=out_of_memory)
    return codes
