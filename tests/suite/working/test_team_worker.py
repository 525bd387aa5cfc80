"""Several processes, stopped and killed from outside: nothing hangs, nothing is lost, nothing is committed twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from optathlon.results import Store, this_process
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
from tests.suite.ranks import attempt
from tests.suite.sweeps import HERE, command, environment, optathlon
from tests.suite.training.test_several_processes import run_of

look_beside(HERE)
KILLED = 256 - signal.SIGKILL
SWEEP = """
name = "shared"
scale = "smoke"
tasks = ["shared_toy:TASK"]
seeds = [0, 1]
optimizer = [{ name = "sgd", fixed.lr = 0.1 }, { name = "adamp", fixed.lr = 1e-2 }]
"""


@pytest.fixture(autouse=True)
def _slowly(monkeypatch):
    """Slow enough to be caught at work."""
    monkeypatch.setenv("TOY_SLEEP", "0.02")


def begin(store: Store, run, world: int = 2) -> tuple[int, list[int]]:
    """The run on `world` processes, under way in a new attempt: the process that watches over them, and they."""
    before = len(store.attempts(run.id))
    job = Job(run, store, store.root, say=lambda _: None)
    pid = fork(lambda _: max(code % 256 for code in on_this_machine(job, world)))
    wait_for(lambda: len(store.attempts(run.id)) > before and got_on(store, run.id))
    return pid, children(pid)


def got_on(store: Store, run: str) -> bool:
    """Whether the newest attempt has come to an epoch's end."""
    newest = store.attempts(run)[-1]
    return any("update" in event for event in store.latest(run, newest.number))


def children(pid: int) -> list[int]:
    return sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def end_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait_for(what, seconds=60):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def outcome(store: Store, run: str):
    record = store.record(run)
    assert record is not None
    return record.weights, {score.name: score.value for score in record.scores}, record.curve.points


@pytest.mark.slow
def test_stopped_and_killed_and_continued_on_two_processes_bit_for_bit(tmp_path):
    """A signal to one stops both after the same update, saved; a death of one ends the attempt of both, as failed."""
    run, store = run_of(protocol={"length": 8}), Store(tmp_path / "store")
    codes = []
    for rank, number in ((1, signal.SIGTERM), (0, signal.SIGKILL), (0, signal.SIGUSR2), (1, signal.SIGKILL)):
        pid, ranks = begin(store, run)
        os.kill(ranks[rank], number)
        codes.append(end_of(pid))
    assert codes == [PREEMPTED, KILLED, PREEMPTED, KILLED]
    pid, _ = begin(store, run)
    assert end_of(pid) == 0
    (uninterrupted := tmp_path / "uninterrupted").mkdir()
    weights, scores, curve, *_ = attempt(run, uninterrupted, 2)[0]
    assert outcome(store, run.id) == (weights, scores, curve)
    endings = list(store.endings(run.id).values())
    assert [ended.kind for ended in endings] == ["stopped", "failed", "stopped", "failed", "finished"]
    assert "process 0 was killed by SIGKILL" in endings[1].reason
    (record,) = store.records()
    assert record.provenance["machine"]["processes"] == 2


@pytest.mark.slow
def test_processes_whose_parent_is_killed_save_and_stop(tmp_path):
    run, store = run_of(protocol={"length": 8}), Store(tmp_path)
    pid, ranks = begin(store, run)
    os.kill(pid, signal.SIGKILL)
    end_of(pid)
    wait_for(lambda: store.endings(run.id))
    assert [ended.kind for ended in store.endings(run.id).values()] == ["stopped"]
    wait_for(lambda: not any(Path(f"/proc/{rank}").exists() for rank in ranks))


@pytest.mark.slow
def test_a_process_that_does_not_answer_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setenv(TEAM_SECONDS, "2")
    monkeypatch.setattr(forking, "GRACE_SECONDS", 1.0)
    run, store = run_of(protocol={"length": 8}), Store(tmp_path)
    pid, ranks = begin(store, run)
    os.kill(ranks[1], signal.SIGSTOP)
    assert end_of(pid) == SILENT
    (ended,) = store.endings(run.id).values()
    assert (ended.kind, ended.failure) == ("failed", "lost")
    assert "did not answer" in ended.reason


@pytest.mark.slow
def test_a_process_that_is_killed_is_named_whichever_it_is(tmp_path):
    run, store = run_of(protocol={"length": 8}), Store(tmp_path)
    for rank in (0, 1):
        pid, ranks = begin(store, run)
        os.kill(ranks[rank], signal.SIGKILL)
        end_of(pid)
        ended = store.endings(run.id)[rank + 1]
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
    monkeypatch.setenv("TOY_SLEEP", "0")
    monkeypatch.setattr(job, "follow", lambda *how, **more: follow(*how, **more) and os._exit(5))
    run, store = run_of(), Store(tmp_path)
    pid = fork(lambda _: 0 if on_this_machine(Job(run, store, tmp_path), 2) == [0, 5] else 1)
    assert end_of(pid) == 0
    assert store.record(run.id) is not None
    assert [ended.kind for ended in store.endings(run.id).values()] == ["finished"]


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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [{**meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]


def workers(given: Assignment, world: int = 2) -> list[int]:
    def work(told: dict[str, str]) -> int:
        os.environ.update(told)
        return team_worker.work(given)

    return [fork(lambda _, told=told: work(told)) for told in variables(world)]


@pytest.mark.slow
def test_a_team_takes_one_run_after_another_and_survives_the_death_of_a_part(tmp_path):
    given = plan_in(tmp_path)
    store, ids = given.store, [run.id for run in given.plan.runs]
    pids = workers(given)
    wait_for(lambda: any(store.attempts(run) and got_on(store, run) for run in ids))
    (part,) = children(pids[1])
    os.kill(part, signal.SIGKILL)
    assert [end_of(pid) for pid in pids] == [0, 0]
    assert store.finished() == set(ids)
    endings = [[ended.kind for ended in store.endings(run).values()] for run in ids]
    assert sorted(endings) == [["failed", "finished"], ["finished"], ["finished"], ["finished"]]
    (folder := tmp_path / "uninterrupted").mkdir()
    weights, scores, curve, *_ = attempt(run_of_plan(given.plan, given.plan.runs[0]), folder, 2)[0]
    assert outcome(store, ids[0]) == (weights, scores, curve)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 1])
def test_a_signal_to_any_process_of_a_team_stops_all(asked, tmp_path):
    given = plan_in(tmp_path)
    pids = workers(given)
    first = given.plan.runs[0].id
    wait_for(lambda: given.store.attempts(first) and got_on(given.store, first))
    os.kill(pids[asked], signal.SIGTERM)
    assert [end_of(pid) for pid in pids] == [PREEMPTED, PREEMPTED]
    assert [ended.kind for ended in given.store.endings(first).values()] == ["stopped"]
    assert not any(given.store.attempts(run.id) for run in given.plan.runs[1:])


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_team_that_lost_a_process_ends(killed, tmp_path, monkeypatch):
    monkeypatch.setattr(team_worker, "SILENCE_SECONDS", 3.0)
    monkeypatch.setattr(team_worker, "BEAT_SECONDS", 0.5)
    given = plan_in(tmp_path)
    pids = workers(given)
    first = given.plan.runs[0].id
    wait_for(lambda: given.store.attempts(first) and got_on(given.store, first))
    os.kill(pids[killed], signal.SIGKILL)
    assert sorted(end_of(pid) for pid in pids) == [-signal.SIGKILL, FAILED]
    wait_for(lambda: given.store.endings(first))
    assert [ended.kind for ended in given.store.endings(first).values()] == ["stopped"]


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
    errors = [process.communicate(timeout=120)[1] for process in started]
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
