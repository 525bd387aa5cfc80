"""Twelve processes that are killed or held up in the middle of runs carry out every run once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from optathlon.results import Store, this_process
from optathlon.results.record import Ended
from optathlon.results.store.claims import BARREN_LIMIT, LEASE
from tests.results.make import record, setting

WORKERS, RUNS, HITS = 12, 500, 60
SETTINGS = [setting("sgd", lr=float(number)) for number in range(RUNS)]
POINTS = ("claimed", "moved", "before the commit", "committed")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


class Worker:
    """Claims, carries out and commits until nothing is left; its diary says what was started and completed.

    The first HITS of them do to themselves what `hit` says, each once, at a point of a run that its number decides.
    """

    def __init__(self, root: Path, diary: Path, number: int, hit: Callable[[str], None]) -> None:
        self.store, self.number, self.hit = Store(root), number, hit
        self.owner = this_process()
        self.pages = diary.open("ab", buffering=0)
        self.left = random.Random(number).randrange(6) if number <= HITS else -1
        """Runs before the hit."""

    def work(self) -> None:
        plan = {(r := record(of_setting=s)).id: r for s in SETTINGS}
        while left := sorted(plan.keys() - self.store.finished()):
            random.Random(self.number).shuffle(left)
            for run_id in left:
                if attempt := self.store.claim(run_id, self.owner):
                    self.carry_out(attempt, plan[run_id])

    def carry_out(self, attempt, outcome) -> None:
        self.say("started", attempt)
        self.reach("claimed", attempt)
        self.store.note_moved(attempt)
        self.reach("moved", attempt)
        if self.store.fenced(attempt):
            self.say("fenced", attempt)
            return
        self.reach("before the commit", attempt)
        self.say("completed" if self.store.commit(outcome) else "beaten", attempt)
        self.reach("committed", attempt)
        self.store.end(Ended(run=attempt.run, number=attempt.number, kind="finished", moved=True))
        self.left -= self.left > 0

    def reach(self, point: str, attempt) -> None:
        # A third death in a row before a checkpoint moved would be a failure for good, as it should.
        if self.left == 0 and point == POINTS[self.number % len(POINTS)] and attempt.number < BARREN_LIMIT:
            self.left = -1
            self.hit(attempt.run)

    def say(self, word: str, attempt) -> None:
        self.pages.write(f"{word} {attempt.run} {attempt.number}\n".encode())


class Crew:
    """Twelve workers, replaced when they die. hosts: each has one of its own, so that nobody sees whether it lives."""

    def __init__(self, folder: Path, hit: Callable[[str], None], hosts: bool = False) -> None:
        self.folder, self.hit, self.hosts = folder, hit, hosts
        self.count, self.pids = 0, set[int]()
        for _ in range(WORKERS):
            self.start()

    def start(self) -> None:
        self.count += 1
        if pid := os.fork():
            self.pids.add(pid)
            return
        code = 1
        try:
            worker = Worker(self.folder / "store", self.folder / f"diary-{self.count}", self.count, self.hit)
            if self.hosts:
                worker.owner = msgspec.structs.replace(worker.owner, host=f"node-{self.count}")
            worker.work()
            code = 0
        finally:
            os._exit(code)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def wait(self) -> tuple[int, int]:
        """A worker that ended or was stopped, and its status."""
        while True:
            pid, status = os.waitpid(-1, os.WUNTRACED)
            if pid in self.pids:  # and no process that another test left
                self.pids -= set() if os.WIFSTOPPED(status) else {pid}
                return pid, status

    def diary_lines(self) -> list[list[str]]:
        return [line.split() for path in self.folder.glob("diary-*") for line in path.read_text().splitlines()]


def check(store: Store, diary_lines: list[list[str]]) -> None:
    """No run is lost, no attempt has two owners, no run has two outcomes."""
    assert store.finished() == {record(of_setting=s).id for s in SETTINGS}
    assert len(store.records()) == RUNS
    assert store.problems == []
    assert max(Counter((run_id, number) for kind, run_id, number in diary_lines if kind == "started").values()) == 1
    assert max(Counter(run_id for kind, run_id, _ in diary_lines if kind == "completed").values()) <= 1


@pytest.mark.slow
def test_killed_workers_lose_no_run_and_repeat_none(tmp_path):
    kills = 0
    with Crew(tmp_path, lambda _: os.kill(os.getpid(), signal.SIGKILL)) as crew:
        while crew.pids:
            _, status = crew.wait()
            kills += os.WIFSIGNALED(status)
            assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
            if crew.count < HITS:
                crew.start()
            elif (
                crew.count == HITS and not crew.pids
            ):  # the mortal ones have done six runs each at most; now the others
                for _ in range(WORKERS):
                    crew.start()
    assert kills == HITS
    diary_lines = crew.diary_lines()
    kinds = Counter(kind for kind, *_ in diary_lines)
    check(Store(tmp_path / "store"), diary_lines)
    assert kinds["beaten"] == kinds["fenced"] == 0, "a living owner lost its run"
    # A quarter of them had committed when they were killed; the other runs were started once more.
    assert kinds["started"] == RUNS + HITS - HITS // len(POINTS)


@pytest.mark.slow
def test_workers_held_up_beyond_their_lease_are_fenced(tmp_path):
    """Each is stopped in the middle of a run, and goes on once another has taken the run, or has finished it.

    Each has a host of its own: where a process is seen, it keeps its run however long it is stopped.
    """
    (tmp_path / "held").mkdir()

    def stop(run_id: str) -> None:
        (tmp_path / "held" / f"{os.getpid()}").write_text(run_id)
        os.kill(os.getpid(), signal.SIGSTOP)

    store = Store(tmp_path / "store")
    held: dict[int, tuple[str, int]] = {}

    def wake(pids: list[int]) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
            del held[pid]

    with Crew(tmp_path, stop, hosts=True) as crew:
        while crew.pids:
            pid, status = crew.wait()
            if os.WIFSTOPPED(status):
                held[pid] = miss_lease(store, (tmp_path / "held" / f"{pid}").read_text())
            else:
                assert os.waitstatus_to_exitcode(status) == 0
            wake([pid for pid, (run_id, number) in held.items() if taken(store, run_id, number)])
            if len(held) == len(crew.pids):  # nobody is left to take their runs
                wake(list(held))
    diary_lines = crew.diary_lines()
    check(store, diary_lines)
    assert any(kind in ("fenced", "beaten") for kind, *_ in diary_lines), "nobody was held up in the middle of a run"


def miss_lease(store: Store, run_id: str) -> tuple[str, int]:
    """The newest attempt of a run has been silent for longer than its lease."""
    number = max(attempt.number for attempt in store.attempts(run_id))
    silent = time.time() - LEASE - 60
    os.utime(store.work(run_id) / f"attempt-{number:04d}.json", (silent, silent))
    return run_id, number


def taken(store: Store, run_id: str, number: int) -> bool:
    """Whether another than attempt `number` has the run, or has finished it."""
    return store.record(run_id) is not None or max(attempt.number for attempt in store.attempts(run_id)) > number
