"""One run on several processes: how each of them joins the others, and the same on this machine, forked."""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import signal
import tempfile
from collections.abc import Callable

import torch

from optathlon.results import StoreError
from optathlon.slurm.signals import PREEMPTED
from optathlon.suite.errors import INTERRUPTED, Preempted
from optathlon.suite.training.place import Place, gpu
from optathlon.suite.training.team import Joined, Meeting, first_fault, meet
from optathlon.suite.working import memory_kills
from optathlon.suite.working.endings import write_down
from optathlon.suite.working.exit_codes import REFUSED
from optathlon.suite.working.forking import fork, watch_over
from optathlon.suite.working.job import Job, carry_out
from optathlon.suite.working.preloading import preload
from optathlon.suite.working.refusal import refusal_or_error
from optathlon.suite.working.signals import StopFlag, stop_flag


def take_part(job: Job, place: Place, meeting: Meeting, stop: Callable[[], bool]) -> int:
    """Carries out `job` as the process at `place`, with the others that meet at `meeting`. Returns an exit code, as
    `carry_out` does; REFUSED also if any process must not run it where it is. Raises Preempted once `stop()` before all
    are there, Lost if they do not come."""
    os.environ.update(gpu(place) if job.device != "cpu" else {})
    device = job.torch_device
    team = Joined(place, meeting, device, stop)
    # Asked of all before the claim: an attempt that one of them cannot make would count as a failure of the run.
    if reasons := list(filter(None, team.all(_refusal(job, place)))):
        if team.rank == 0:
            job.say(f"{job.run.label} ({job.run.id}) refused: {reasons[0]}")
        team.leave()
        return REFUSED
    return carry_out(job, team, device, stop)


def part_or_stopped(part: Callable[[], int], stop: StopFlag) -> int:
    """Returns what `part` returns; if a signal stopped it before it began, the exit code that says so."""
    try:
        return part()
    except Preempted:
        return INTERRUPTED if stop.raised == signal.SIGINT else PREEMPTED


def _refusal(job: Job, place: Place) -> str | None:
    if job.device == "cuda" and not torch.cuda.is_available():
        return f"process {place.rank}, on {platform.node()}, sees no GPU"
    return refusal_or_error(job.run, job.data, place.world)


def on_this_machine(job: Job, processes: int) -> list[int]:
    """Carries out `job` on so many forked processes of this machine, one GPU per process if it has any.

    Returns their exit codes, negative for a signal. Writes down how the attempt ended if the first process could not. A
    signal to this process or to any of them stops all after the same update, saved. CUDA must not be in use here.
    """
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    preload([job.run.problem.task], [job.run.setting.optimizer], job.say, job.implementation)
    job, out_of_memory = dataclasses.replace(job, watched=True), memory_kills.counted_from_now()

    def part(place: Place, stop: StopFlag) -> int:
        return part_or_stopped(lambda: take_part(job, place, meet(place, stop=stop), stop), stop)

    with tempfile.TemporaryDirectory(prefix="optathlon-") as folder, stop_flag() as flag:
        places = [Place(rank, processes, rank, file=f"{folder}/meeting") for rank in range(processes)]
        pids = [fork(functools.partial(part, place)) for place in places]
        codes = watch_over(pids, flag)
        fault = first_fault(meet(places[0]))
        try:
            write_down(job.store, job.run.id, pids[0], codes, fault, asked=flag(), out_of_memory=out_of_memory())
        except (OSError, StoreError) as error:  # the attempt is provably dead without it
            job.say(f"how run {job.run.id} ended could not be written down: {error}")
    return codes
