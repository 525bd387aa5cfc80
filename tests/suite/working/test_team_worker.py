"""Several processes, stopped and killed from outside: nothing hangs, nothing is lost, nothing is committed twice."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from optathlon.results import Store, this_process
from optathlon.results.record import file_digest
from optathlon.results.store.refusals import refusals
from optathlon.results.store.run_state import LOST
from optathlon.slurm.signals import PREEMPTED
from optathlon.suite.errors import FAILED
from optathlon.suite.failures import Fault
from optathlon.suite.planning.plan import expand
from optathlon.suite.planning.plan import run_of as run_of_plan
from optathlon.suite.planning.sweep_reader import load
from optathlon.suite.training.team import TEAM_SECONDS
from optathlon.suite.user_modules import look_beside
from optathlon.suite.working import endings, forking, job, team_worker
from optathlon.suite.working.assignment import Assignment
from optathlon.suite.working.execute import follow
from optathlon.suite.working.exit_codes import BUSY, REFUSED, SILENT
from optathlon.suite.working.forking import fork
from optathlon.suite.working.job import Job
from optathlon.suite.working.several_processes import on_this_machine
from tests.ports import own_port
from tests.suite.ranks import attempt
from tests.suite.sweeps import HERE, command, environment, optathlon
from tests.suite.toy import STRIKE
from tests.suite.training.test_several_processes import run_of
from tests.waiting import wait_for

look_beside(HERE)
KILLED = 256 - signal.SIGKILL
SWEEP = """
name = "shared"
scale = "smoke"
tasks = ["shared_toy:TASK"]
seeds = [0, 1]
optimizer = [{ name = "sgd", fixed.lr = 0.1 }, { name = "adamp", fixed.lr = 1e-2 }]
"""


@pytest.fixture
def strike(tmp_path, monkeypatch):
    """In a step of an epoch, the process of a rank sends itself or its parent a signal."""

    def order(number: signal.Signals, rank: int, epoch: int = 1, whom: str = "itself") -> None:
        (tmp_path / "strike").write_text(f"{whom} {rank} {epoch} {int(number)}")
        monkeypatch.setenv(STRIKE, str(tmp_path / "strike"))

    return order


def begin(store: Store, run) -> int:
    """The process that watches over a new attempt of the run on two processes."""
    job = Job(run, store, store.root, say=lambda _: None)
    return fork(lambda _: max(code % 256 for code in on_this_machine(job, 2)))


def end_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def outcome(store: Store, run: str):
    record = store.record(run)
    assert record is not None
    return record.weights, {score.name: score.value for score in record.scores}, record.curve.points


@pytest.mark.slow
def test_stopped_and_killed_and_continued_on_two_processes_bit_for_bit(strike, tmp_path):
    """A signal to one stops both after the same update, saved; a death of one ends the attempt of both, as failed."""
    run, store = run_of(protocol={"length": 6}), Store(tmp_path / "store")
    codes = []
    for epoch, rank, number in (
        (1, 1, signal.SIGTERM),
        (2, 0, signal.SIGKILL),
        (3, 0, signal.SIGUSR2),
        (4, 1, signal.SIGKILL),
    ):
        strike(number, rank, epoch)
        codes.append(end_of(begin(store, run)))
    assert codes == [PREEMPTED, KILLED, PREEMPTED, KILLED]
    assert end_of(begin(store, run)) == 0
    (uninterrupted := tmp_path / "uninterrupted").mkdir()
    weights, scores, curve, *_ = attempt(run, uninterrupted, 2)[0]
    assert outcome(store, run.id) == (weights, scores, curve)
    endings = list(store.endings(run.id).values())
    assert [ended.kind for ended in endings] == ["stopped", "failed", "stopped", "failed", "finished"]
    assert "process 0 was killed by SIGKILL" in endings[1].reason
    (record,) = store.records()
    assert record.provenance["machine"]["processes"] == 2


@pytest.mark.slow
def test_processes_whose_parent_is_killed_save_and_stop(strike, tmp_path):
    run, store = run_of(), Store(tmp_path / "store")
    strike(signal.SIGKILL, rank=0, whom="parent")
    assert end_of(begin(store, run)) == -signal.SIGKILL
    wait_for(lambda: store.endings(run.id))
    assert [ended.kind for ended in store.endings(run.id).values()] == ["stopped"]


@pytest.mark.slow
def test_a_process_that_does_not_answer_is_not_waited_for_for_ever(strike, tmp_path, monkeypatch):
    monkeypatch.setenv(TEAM_SECONDS, "15")  # more than a process that is alive ever takes for its part
    monkeypatch.setattr(forking, "GRACE_SECONDS", 1.0)
    run, store = run_of(), Store(tmp_path / "store")
    strike(signal.SIGSTOP, rank=1)
    assert end_of(begin(store, run)) == SILENT
    (ended,) = store.endings(run.id).values()
    assert (ended.kind, ended.failure) == ("failed", "lost")
    assert "did not answer" in ended.reason


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_is_named_whichever_it_is(rank, strike, tmp_path):
    run, store = run_of(), Store(tmp_path / "store")
    strike(signal.SIGKILL, rank)
    end_of(begin(store, run))
    ended = store.endings(run.id)[1]
    assert (ended.kind, ended.failure) == ("failed", "killed")
    assert f"process {rank} was killed by SIGKILL" in ended.reason


LOST_ONE = Fault("Lost: another process of the run was lost", "Traceback", LOST)
OWN = Fault("ValueError: wrong", "Traceback", "task")


@pytest.mark.parametrize(
    ("codes", "fault", "asked", "out_of_memory", "expected"),
    [
        ([1, -9], LOST_ONE, False, False, ("killed", "process 1 was killed by SIGKILL", False)),
        ([1, -9], LOST_ONE, False, True, ("memory", "out of memory", False)),
        ([1, -9], LOST_ONE, True, False, ("killed", "process 1 was killed by SIGKILL", True)),
        ([1, SILENT], LOST_ONE, False, False, (LOST, "Lost: another process", False)),
        ([1, SILENT], LOST_ONE, True, False, (LOST, "Lost: another process", True)),
        ([1, -9], OWN, True, False, ("task", "ValueError: wrong", False)),
        ([-11, 1], None, False, False, ("crash", "process 0 was killed by SIGSEGV", False)),
        ([0, 1], None, False, False, ("bug", "process 1 failed with exit code 1", False)),
    ],
)
def test_how_an_attempt_ended_is_told_by_who_knows_best(codes, fault, asked, out_of_memory, expected):
    found = endings.judge(codes, fault, asked=asked, out_of_memory=out_of_memory)
    assert (found.failure, found.asked) == (expected[0], expected[2])
    assert expected[1] in found.reason


def test_what_is_committed_stays_done_if_another_process_dies_at_the_very_end(tmp_path, monkeypatch):
    """The first one writes and says good-bye; the other has trained to the end and dies before it can."""
    monkeypatch.setattr(job, "follow", lambda *how, **more: follow(*how, **more) and os._exit(5))
    run, store = run_of(), Store(tmp_path)
    pid = fork(lambda _: 0 if on_this_machine(Job(run, store, tmp_path), 2) == [0, 5] else 1)
    assert end_of(pid) == 0
    ((_, file),) = store.written()
    (ended,) = store.endings(run.id).values()
    assert (ended.kind, ended.record) == ("finished", file_digest(file))


def test_what_cannot_be_shared_is_refused_before_it_is_claimed(tmp_path):
    run, told = run_of(), []
    job = Job(run, Store(tmp_path), tmp_path, say=told.append)
    pid = fork(lambda _: 0 if on_this_machine(job, 3) == [REFUSED] * 3 else 1)
    assert end_of(pid) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_failure_of_one_process_is_what_is_written_down(tmp_path):
    """And not that the first one lost it."""
    run, store = run_of(protocol={"settings": {"fail_on": 1}}), Store(tmp_path)
    pid = fork(lambda _: 0 if on_this_machine(Job(run, store, tmp_path), 2) == [FAILED] * 2 else 1)
    assert end_of(pid) == 0
    (ended,) = store.endings(run.id).values()
    assert (ended.kind, ended.reason) == ("failed", "ZeroDivisionError: process 1 was told to fail")
    assert "shared_toy.py" in ended.trace


def test_a_run_that_is_another_workers_is_left_to_it(tmp_path):
    run, store = run_of(), Store(tmp_path)
    assert store.claim(run.id, this_process())
    pid = fork(lambda _: 0 if on_this_machine(Job(run, store, tmp_path), 2) == [BUSY] * 2 else 1)
    assert end_of(pid) == 0
    assert len(store.attempts(run.id)) == 1


# --- a worker of several processes -------------------------------------------------------------------------------


def plan_in(folder: Path, text: str = SWEEP) -> Assignment:
    (folder / "sweep.toml").write_text(text)
    store = Store(folder / "store")
    plan = expand(load(folder / "sweep.toml"), folder)
    store.put_plan(plan, text.encode())
    return Assignment(store, plan, folder)


def variables(world: int) -> list[dict[str, str]]:
    """What torchrun tells each of so many processes, but for an agent of its own."""
    meeting = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(own_port())}
    return [{**meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]


def workers(assignment: Assignment, world: int = 2) -> list[int]:
    def work(of_rank: dict[str, str]) -> int:
        os.environ.update(of_rank)
        return team_worker.work(assignment)

    return [fork(lambda _, of_rank=of_rank: work(of_rank)) for of_rank in variables(world)]


@pytest.mark.slow
def test_a_team_takes_one_run_after_another_and_survives_the_death_of_a_part(strike, tmp_path):
    assignment = plan_in(tmp_path)
    store, ids = assignment.store, [run.id for run in assignment.plan.runs]
    strike(signal.SIGKILL, rank=1)
    assert [end_of(pid) for pid in workers(assignment)] == [0, 0]
    assert store.finished() == set(ids)
    endings = [[ended.kind for ended in store.endings(run).values()] for run in ids]
    assert sorted(endings) == [["failed", "finished"], ["finished"], ["finished"], ["finished"]]
    (folder := tmp_path / "uninterrupted").mkdir()
    weights, scores, curve, *_ = attempt(run_of_plan(assignment.plan, assignment.plan.runs[0]), folder, 2)[0]
    assert outcome(store, ids[0]) == (weights, scores, curve)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 1])
def test_a_signal_to_any_process_of_a_team_stops_all(asked, strike, tmp_path):
    assignment = plan_in(tmp_path)
    strike(signal.SIGTERM, rank=asked, whom="parent")
    assert [end_of(pid) for pid in workers(assignment)] == [PREEMPTED, PREEMPTED]
    first, *others = (assignment.store.endings(run.id).values() for run in assignment.plan.runs)
    assert [ended.kind for ended in first] == ["stopped"]
    assert not any(others)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_team_that_lost_a_process_ends(killed, strike, tmp_path, monkeypatch):
    """By a clock that goes on by an hour at each look once that process is dead."""
    hours = itertools.count(1)

    def monotonic() -> float:
        return time.monotonic() + (0 if (tmp_path / "strike").exists() else 3600 * next(hours))

    monkeypatch.setattr(team_worker, "time", SimpleNamespace(monotonic=monotonic, sleep=time.sleep))
    assignment = plan_in(tmp_path)
    first = assignment.plan.runs[0].id
    strike(signal.SIGKILL, rank=killed, whom="parent")
    assert sorted(end_of(pid) for pid in workers(assignment)) == [-signal.SIGKILL, FAILED]
    wait_for(lambda: assignment.store.endings(first))
    assert [ended.kind for ended in assignment.store.endings(first).values()] == ["stopped"]


@pytest.mark.slow
def test_what_a_team_cannot_share_it_leaves_and_says_so(tmp_path):
    assignment = plan_in(tmp_path, SWEEP.replace("fixed.lr = 1e-2", OF_ITS_OWN).replace("[0, 1]", "[0]"))
    assert [end_of(pid) for pid in workers(assignment)] == [0, 0]
    rows = {run.id: run.row for run in assignment.plan.runs}
    (left,) = [run for run in rows if assignment.store.record(run) is None]
    assert rows[left] == "adamp"
    assert "cannot be shared by 2 processes" in refusals(assignment.store, "shared")[left].why


OF_ITS_OWN = "fixed.lr = 1e-2, protocol.micro_batch = 16"


# --- from the command line ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_commands(tmp_path):
    """`run --processes 2`, and `work` on two processes that torchrun's variables describe."""
    assignment = plan_in(tmp_path, SWEEP.replace("seeds = [0, 1]", "seeds = [3]"))
    words = ("work", "shared", 1, "--beside", HERE, "--store", tmp_path / "store", "--data", tmp_path)
    started = [
        subprocess.Popen(command(*words), env=environment(**told), stderr=subprocess.PIPE, text=True)
        for told in variables(2)
    ]
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    assert errors[0].count("on 2 processes: finished") == 2
    assert assignment.store.finished() == {run.id for run in assignment.plan.runs}
    one = optathlon(HERE, *RUN, "--processes", "2", "--store", tmp_path / "one", "--data", tmp_path)
    assert one.returncode == 0, one.stderr
    (run,) = Store(tmp_path / "one").finished()
    assert outcome(Store(tmp_path / "one"), run) == outcome(assignment.store, run)
    refused = optathlon(HERE, *RUN, "--processes", "3", "--store", tmp_path / "none", "--data", tmp_path)
    assert refused.returncode == 2
    assert "cannot be shared by 3 processes; take a number of processes that divides the batch" in refused.stderr
    assert not (tmp_path / "none").exists()


RUN = ("run", "shared_toy:TASK", "sgd", "lr=0.1", "--scale", "smoke", "--seed", 3)
