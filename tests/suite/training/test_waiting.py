"""Who waits for other processes says for whom, and hears signals while it waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import torch

from optathlon.slurm.signals import PREEMPTED
from optathlon.suite.errors import INTERRUPTED, Preempted
from optathlon.suite.training import waiting
from optathlon.suite.training.place import Place
from optathlon.suite.training.team import Joined, Lost, meet
from optathlon.suite.working.forking import fork
from tests.ports import own_port
from tests.suite.sweeps import command, environment, write
from tests.suite.working.test_team_worker import end_of
from tests.waiting import wait_for, wait_for_line

CPU = torch.device("cpu")
WORDS = ("run", "toy:TASK", "sgd", "lr=0.1", "protocol.micro_batch=8", "--scale", "smoke", "--device", "cpu")


def test_whom_one_waits_for_is_told_within_seconds_and_every_half_minute(monkeypatch):
    """By a clock that the test turns."""
    now, lines = [0.0], []
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(waiting.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    assert waiting.until(lambda: "process 1" if now[0] < 70 else "", lambda: False, 600, lines.append) == ""
    assert [line.rpartition(" for ")[2] for line in lines] == ["5 s now", "35 s now", "65 s now"]
    assert all(line.startswith("waiting for process 1") for line in lines)


def test_a_wait_ends_with_the_names_of_those_who_did_not_come(tmp_path, monkeypatch):
    monkeypatch.setenv("OPTATHLON_TEAM_SECONDS", "0.3")
    place = Place(0, 3, 0, file=str(tmp_path / "meeting"))
    with pytest.raises(Lost, match="processes 1, 2 did not come"):
        Joined(place, meet(place), CPU)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_ends_the_wait_for_the_others_at_once(rank, tmp_path):
    place = Place(rank, 2, rank, address="127.0.0.1", port=own_port())
    with pytest.raises(Preempted):
        Joined(place, meet(place, stop=lambda: True), CPU, lambda: True)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, PREEMPTED)])
def test_run_tells_for_whom_it_waits_and_ends_by_a_signal(rank, number, code, tmp_path):
    write(tmp_path)
    ranks = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank}
    variables = {**ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": own_port()}
    output = tmp_path / "output.txt"
    with output.open("w") as stderr:
        env = environment(**{key: str(value) for key, value in variables.items()})
        process = subprocess.Popen(command(*WORDS), cwd=tmp_path, env=env, stderr=stderr)
        wait_for_line(output, "waiting for ")
        process.send_signal(number)
        assert process.wait() == code
    assert ("the first process, at 127.0.0.1" if rank else "waiting for process 1") in output.read_text()
    assert not list((tmp_path / "store").rglob("attempt-*"))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, PREEMPTED)])
def test_in_every_collective_wait_the_silent_ones_are_named_and_a_signal_ends_it(number, code, tmp_path):
    """One of two processes has been stopped, and never comes to the operation."""
    output = tmp_path / "output.txt"

    def part(rank: int) -> int:
        sys.stderr = output.open("a")
        place = Place(rank, 2, rank, file=str(tmp_path / "meeting"))
        team = Joined(place, meet(place), CPU)
        (tmp_path / f"joined-{rank}").touch()
        if rank == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        return team.agree(0)

    first, second = (fork(lambda _, rank=rank: part(rank)) for rank in range(2))
    wait_for(lambda: (tmp_path / "joined-0").exists())
    wait_for_line(output, "waiting for process 1")
    os.kill(first, number)
    assert end_of(first) == code
    assert "stopped while waiting for process 1" in output.read_text()
    os.kill(second, signal.SIGKILL)
    end_of(second)
