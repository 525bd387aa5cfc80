"""Runs on several processes for tests: forked from the test, meeting at a file."""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # or each forked process would import it

from optathlon.suite.errors import Preempted
from optathlon.suite.identity import Run
from optathlon.suite.training.checkpoint import Checkpoints, SharedCheckpoints
from optathlon.suite.training.loop import train
from optathlon.suite.training.place import Place
from optathlon.suite.training.surroundings import Surroundings
from optathlon.suite.training.team import ALONE, Joined, Team, meet
from optathlon.suite.working.execute import build
from optathlon.suite.working.forking import fork, watch_over

CPU = torch.device("cpu")


def together(world: int, folder: Path, act: Callable[[Team], Any]) -> list[Any]:
    """What `act` returns on each of `world` forked processes; what it raises there is what it returns."""
    meeting = folder / f"meeting-{len(list(folder.iterdir()))}"
    answers = [folder / f"{meeting.name}-answer-{rank}" for rank in range(world)]

    def part(rank: int) -> int:
        torch.set_num_threads(1)
        place = Place(rank, world, rank, file=str(meeting))
        team = Joined(place, meet(place), CPU) if world > 1 else ALONE
        try:
            answer = act(team)
        except Exception as error:
            answer = error
        answers[rank].write_bytes(pickle.dumps(answer))
        return 0

    pids = [fork(lambda _, rank=rank: part(rank)) for rank in range(world)]
    assert watch_over(pids, lambda: False) == [0] * world
    return [pickle.loads(answer.read_bytes()) for answer in answers]


def attempt(
    run: Run, folder: Path, world: int, stops: Mapping[int, int] | None = None, data: Path | None = None
) -> list:
    """One attempt on `world` processes, of which rank r is asked to stop when it has looked stops[r] times.

    Of each process: (weights, scores, curve, status, tensors by name), or the update at which it stopped.
    """

    def act(team: Team) -> Any:
        looks = itertools.count(1)
        files = Checkpoints(folder, run.id, lambda _: None) if team.rank == 0 else None
        shared = SharedCheckpoints(team, files) if isinstance(team, Joined) else files
        assert shared is not None
        stop = (stops or {}).get(team.rank, math.inf)
        around = Surroundings(shared, team=team, stop=lambda: next(looks) >= stop)
        workload = build(run, data or folder, CPU, 0, team)
        try:
            outcome = train(run, workload, around)
        except Preempted:
            return next(looks) - 1
        tensors = {f"{n}.{k}": v for n, net in workload.players.items() for k, v in net.state_dict().items()}
        return outcome.weights, outcome.scores, outcome.state.curve, outcome.status, tensors

    (meetings := folder / "meetings").mkdir(exist_ok=True)
    return together(world, meetings, act)


def close(first: Any, second: Any, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """The same scores, curve and tensors but for round-off."""
    for mine, others in zip(first[1:3], second[1:3], strict=True):
        torch.testing.assert_close(mine, others, rtol=rtol, atol=atol)
    torch.testing.assert_close(first[4], second[4], rtol=rtol, atol=atol)
