"""Twelve processes that are killed or held up at random carry out every run once."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from optathlon.results import Store, this_process
from optathlon.results.record import Ended
from optathlon.results.store.claims import LEASE
from tests.results.make import record, setting

WORKERS, RUNS = 12, 500
SETTINGS = [setting("sgd", lr=float(number)) for number in range(RUNS)]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


def work(root: Path, lease: float, diary: Path, number: int) -> None:
    """Claim, carry out and commit until nothing is left; `diary` says what was started and completed."""
    store, chance = Store(root, lease), random.Random(number)
    plan = {(r := record(of_setting=s)).id: r for s in SETTINGS}
    with diary.open("ab", buffering=0) as pages:
        while left := sorted(plan.keys() - store.finished()):
            chance.shuffle(left)
            for run_id in left:
                if (attempt := store.claim(run_id, this_process())) is None:
                    continue
                pages.write(f"started {run_id} {attempt.number}\n".encode())
                store.note_moved(attempt)
                time.sleep(chance.random() * 0.02)
                if store.fenced(attempt):
                    pages.write(f"fenced {run_id} {attempt.number}\n".encode())
                    continue
                won = store.commit(plan[run_id])
                pages.write(f"{'completed' if won else 'beaten'} {run_id} {attempt.number}\n".encode())
                store.end(Ended(run=run_id, number=attempt.number, kind="finished", moved=True))


class Crew:
    """Twelve workers, replaced when they are killed."""

    def __init__(self, folder: Path, lease: float) -> None:
        self.folder, self.lease, self.count = folder, lease, 0
        self.context = multiprocessing.get_context("fork")
        self.workers = [self.start() for _ in range(WORKERS)]

    def start(self) -> multiprocessing.process.BaseProcess:
        self.count += 1
        arguments = (self.folder / "store", self.lease, self.folder / f"diary-{self.count}", self.count)
        process = self.context.Process(target=work, args=arguments)
        process.start()
        return process

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.kill()
            worker.join()

    def alive(self) -> list[int]:
        return [i for i, worker in enumerate(self.workers) if worker.is_alive()]

    def signal(self, index: int, number: signal.Signals) -> None:
        worker = self.workers[index]
        if worker.is_alive() and worker.pid:
            os.kill(worker.pid, number)

    def replace(self, index: int) -> None:
        self.workers[index].kill()
        self.workers[index].join()
        self.workers[index] = self.start()

    def told(self) -> list[list[str]]:
        return [line.split() for path in self.folder.glob("diary-*") for line in path.read_text().splitlines()]


def check(store: Store, told: list[list[str]]) -> None:
    """No run is lost, no attempt has two owners, no run has two outcomes."""
    assert store.finished() == {record(of_setting=s).id for s in SETTINGS}
    assert len(store.records()) == RUNS
    assert store.problems == []
    assert max(Counter((run_id, number) for kind, run_id, number in told if kind == "started").values()) == 1
    assert max(Counter(run_id for kind, run_id, _ in told if kind == "completed").values()) == 1


def test_killed_workers_lose_no_run_and_repeat_none(tmp_path):
    chance, kills = random.Random(0), 0
    with Crew(tmp_path, LEASE) as crew:
        while alive := crew.alive():
            time.sleep(0.03)
            if kills < 60:
                crew.replace(chance.choice(alive))
                kills += 1
        assert all(worker.exitcode == 0 for worker in crew.workers)
    told = crew.told()
    kinds = Counter(kind for kind, *_ in told)
    check(Store(tmp_path / "store"), told)
    assert kinds["beaten"] == kinds["fenced"] == 0, "a living owner lost its run"
    assert RUNS < kinds["started"] <= RUNS + kills, "no kill hit a run in progress, or runs were repeated"


@pytest.mark.slow
def test_workers_held_up_beyond_their_lease_are_fenced(tmp_path):
    chance, held, holds = random.Random(1), {}, 0
    with Crew(tmp_path, 0.3) as crew:
        while alive := crew.alive():
            time.sleep(0.02)
            for index in [i for i, since in held.items() if time.monotonic() - since > 0.8]:
                crew.signal(index, signal.SIGCONT)
                del held[index]
            if holds < 40 and len(held) < 4 and (free := [i for i in alive if i not in held]):
                index, holds = chance.choice(free), holds + 1
                crew.signal(index, signal.SIGSTOP)
                held[index] = time.monotonic()
    told = crew.told()
    check(Store(tmp_path / "store"), told)
    assert any(kind in ("fenced", "beaten") for kind, *_ in told), "nobody was held up in the middle of a run"
