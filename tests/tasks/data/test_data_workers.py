"""One set of data workers fetches all that a process loads, as that process would, and ends with it however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from optathlon.tasks.data import data_workers
from optathlon.tasks.data.data_workers import MOST_BYTES, MOST_OBJECTS, DataWorkers
from optathlon.tasks.data.immutable import Immutable
from optathlon.tasks.randomness import generator
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Workload
from tests.waiting import wait_for

JOBS = [np.arange(3) + place for place in range(7)]


class Photos(Immutable):
    """Cannot be sent: what has it, inherited it."""

    def __init__(self, count):
        self.pixels = np.arange(count)

    def __reduce__(self):
        raise TypeError("sent")

    def fetch(self, chosen):
        return os.getpid(), torch.from_numpy(self.pixels[chosen])


class Nothing(Workload):
    """Loads what it is told to."""

    def batches(self, epoch, start=0):
        return iter(())

    def loss(self, batch, player):
        raise NotImplementedError

    def evaluate(self, split):
        return {}


class Marker:
    """To be found in a worker's memory, where only the cycle collector frees it."""

    def __init__(self, number):
        self.number, self.itself = number, self


@pytest.fixture
def two():
    with contextlib.closing(DataWorkers(2)) as workers:
        yield workers


def pids(workers):
    return {pid for pid, _ in workers.load(lambda job: (os.getpid(), job), range(4))}


def gone(pid):
    """Whether a process that is no child of this one has ended: nobody may be there to reap it."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("count", [0, 1, 3])
def test_any_number_fetches_the_same_for_epochs_and_evaluations(count):
    def of_epoch(epoch):
        def fetch(chosen):
            noise = [generator("crop", epoch, int(index)).random() for index in chosen]
            return torch.from_numpy(pixels[chosen] + np.array(noise))

        return fetch

    pixels, photos, seen = np.arange(20.0), Photos(20), []
    with contextlib.closing(DataWorkers(count)) as workers:
        for epoch in range(3):
            seen += [part.tolist() for part in workers.load(of_epoch(epoch), JOBS[epoch:])]
            seen += [part.tolist() for _, part in workers.load(photos.fetch, JOBS[: epoch + 1])]
    expected = []
    for epoch in range(3):
        expected += [of_epoch(epoch)(chosen).tolist() for chosen in JOBS[epoch:]]
        expected += [chosen.tolist() for chosen in JOBS[: epoch + 1]]
    assert seen == expected


def test_torchs_generator_is_left_alone(two):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert len(pids(two)) == 2
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda", True), ("cuda:1", True)])
def test_what_is_fetched_for_a_gpu_is_page_locked(device, pinned, monkeypatch, tmp_path):
    asked = {}

    def loader(jobs, **options):
        asked.update(options)
        return iter(jobs)

    monkeypatch.setattr(data_workers, "DataLoader", loader)
    protocol = Protocol(length=1, unit="epochs", batch=1)
    assert len([*Nothing(protocol, tmp_path, device=device, data_workers=2).load_all(len, JOBS)]) == len(JOBS)
    assert (asked["pin_memory"], asked["num_workers"]) == (pinned, 2)


def test_the_same_processes_fetch_until_they_are_closed(two):
    first = pids(two)
    assert len(first) == 2
    assert os.getpid() not in first
    assert all(pids(two) == first for _ in range(3))
    two.close()
    assert all(map(gone, first))
    assert len(pids(two) | first) == 4, "a later load starts others"


def test_what_a_fetch_holds_is_as_it_is_when_the_load_begins(two):
    scale, settings = np.ones(1), {"shift": 0}

    def fetch(job):
        return os.getpid(), float(scale[0]) * job + settings["shift"]

    seen = []
    for value in (1, 2, 3):
        scale[0], settings["shift"] = value, 10 * value
        seen.append([*two.load(fetch, [1, 2])])
    assert [[number for _, number in load] for load in seen] == [[11, 12], [22, 24], [33, 36]]
    assert len({pid for load in seen for pid, _ in load}) == 2


def test_a_workloads_own_method_is_a_fetch_as_well(tmp_path):
    class Drawn(Workload):
        def __init__(self, **process):
            super().__init__(Protocol(length=1, unit="epochs", batch=1), tmp_path, **process)
            self.photos, self.players, self.epoch = Photos(20), {"model": nn.Linear(2, 2)}, 0

        def batches(self, epoch, start=0):
            return iter(())

        def loaded(self, epoch):
            self.epoch = epoch
            return [*self.load_share(self.fetch, JOBS)]

        def fetch(self, chosen):
            pid, pixels = self.photos.fetch(chosen)
            return pid, (pixels + 100 * self.epoch).tolist()

        def loss(self, batch, player):
            raise NotImplementedError

        def evaluate(self, split):
            return {}

    alone, live = Drawn(), Drawn(data_workers=2)
    with contextlib.closing(live):
        loads = [live.loaded(epoch) for epoch in range(3)]
        for epoch, load in enumerate(loads):
            assert [(i, pixels) for i, (_, pixels) in load] == [(i, pixels) for i, (_, pixels) in alone.loaded(epoch)]
    assert len({pid for load in loads for _, (pid, _) in load}) == 2


def test_mapped_files_and_networks_are_inherited(two, tmp_path):
    size = 2 * MOST_BYTES
    with open(tmp_path / "samples", "wb") as file:
        file.truncate(size)
        file.write(b"abc")
    samples = np.memmap(tmp_path / "samples", np.uint8, "r")
    network = nn.Linear(2, MOST_BYTES // 4)

    def fetch(job):
        return os.getpid(), int(samples[job]) * len(network.weight)

    loads = [[*two.load(fetch, range(3))] for _ in range(3)]
    assert len({pid for load in loads for pid, _ in load}) == 2
    assert [number for _, number in loads[2]] == [int(samples[job]) * len(network.weight) for job in range(3)]


@pytest.mark.parametrize("what", ["lock", "objects", "bytes", "view", "job", "jobs"])
def test_what_cannot_be_sent_is_inherited_by_workers_started_anew(what, two):
    held = {
        "lock": threading.Lock,
        "objects": lambda: [str(number) for number in range(MOST_OBJECTS)],
        "bytes": lambda: bytes(MOST_BYTES),
        "view": lambda: torch.zeros(MOST_BYTES)[:1],
    }.get(what, lambda: None)()
    jobs = {"job": [lambda: 7, lambda: 8], "jobs": [bytes(MOST_BYTES // 2 - 1)] * 2}.get(what, [7, 8])
    before = pids(two)
    loads = [[*two.load(lambda job: (os.getpid(), f"{type(held)} {type(job)}"), jobs)] for _ in range(2)]
    assert [kinds for load in loads for _, kinds in load] == [f"{type(held)} {type(jobs[0])}"] * 4
    assert len(before | {pid for load in loads for pid, _ in load}) == 6


def test_a_large_array_that_is_new_is_known_from_then_on(two):
    first, second = (np.full(MOST_BYTES + 1, value, np.uint8) for value in (5, 6))
    for array in (first, second):
        array.setflags(write=False)
    loads = [
        [*two.load(lambda job, array=array: (os.getpid(), int(array[job])), [0, MOST_BYTES])]
        for array in (first, second, first, second)
    ]
    assert [number for load in loads for _, number in load] == [5, 5, 6, 6, 5, 5, 6, 6]
    before, *after = ({pid for pid, _ in load} for load in loads)
    assert not before & after[0]
    assert after[0] == after[1] == after[2]


def test_a_load_that_is_left_does_not_mix_with_the_next(two):
    left = two.load(lambda job: ("left", job), range(100))
    assert [next(left), next(left)] == [("left", 0), ("left", 1)]
    left.close()
    assert [*two.load(lambda job: ("next", job), range(5))] == [("next", job) for job in range(5)]


def test_two_loads_at_once_each_get_all_of_theirs(two):
    pairs = zip(two.load(lambda job: job, range(9)), two.load(lambda job: -job, range(9)), strict=True)
    assert [*pairs] == [(job, -job) for job in range(9)]


def test_nothing_piles_up_in_a_worker():
    def fetch(_):
        return [held.number for held in gc.get_objects() if isinstance(held, Marker)], held.number

    with contextlib.closing(DataWorkers(1)) as one:
        for epoch in range(4):
            held = Marker(epoch)
            ((numbers, number),) = one.load(fetch, [0])
            assert numbers == [epoch] * bool(epoch), "the first one is what this process had when it forked"
            assert number == epoch


def test_no_global_generator_moves(two):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert len(pids(two) | pids(two)) == 2
    assert torch.equal(torch.get_rng_state(), before)


def test_an_error_is_raised_here_and_ends_them(two):
    def fetch(job):
        if job == 3:
            raise ZeroDivisionError("told to")
        return os.getpid()

    seen = set()
    with pytest.raises(ZeroDivisionError, match="told to"):
        seen.update(two.load(fetch, range(6)))
    assert all(map(gone, seen))
    assert len(pids(two)) == 2


def test_they_end_with_the_object_that_has_them():
    workers = DataWorkers(2)
    processes = pids(workers)
    del workers
    gc.collect()
    assert all(map(gone, processes))


def test_a_worker_that_is_killed_while_it_has_nothing_to_do_is_told(two):
    first, _ = pids(two)

    def kill_and_load():
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: gone(first))
        pids(two)

    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid.*(killed by signal|exited unexpectedly)"):
        kill_and_load()
    two.close()
    assert len(pids(two)) == 2


def test_a_worker_that_is_killed_while_it_fetches_is_told(two):
    def fetch(job):
        if job == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return job

    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid.*(killed by signal|exited unexpectedly)"):
        list(two.load(fetch, range(6)))


@pytest.mark.parametrize("seen_at_once", [True, False])
def test_a_worker_that_is_killed_before_it_has_handed_over_what_it_fetched_is_told(monkeypatch, seen_at_once):
    if not seen_at_once:
        monkeypatch.setattr(BaseProcess, "is_alive", lambda _: True)
    with contextlib.closing(DataWorkers(1)) as one:
        (worker,) = set(one.load(lambda _: os.getpid(), range(3)))
        fetched = one.load(lambda job: torch.full((3,), job), range(6))
        assert next(fetched).tolist() == [0, 0, 0]
        loader: Any = one._loader
        wait_for(loader._iterator._worker_result_queue._reader.poll)  # the next one is on its way
        before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's would raise the error from any line of ours
        try:
            os.kill(worker, signal.SIGKILL)
            wait_for(lambda: gone(worker))
            with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid.*exited unexpectedly") as told:
                list(fetched)
        finally:
            signal.signal(signal.SIGCHLD, before)
    assert told.value.__cause__ is None  # which would be taken for what has gone wrong: a file that cannot be read


def test_an_error_of_a_file_that_is_fetched_is_no_death(two):
    with pytest.raises(FileNotFoundError, match="DataLoader worker process"):
        list(two.load(open, ["/absent"]))
    assert len(pids(two)) == 2


@pytest.mark.slow
def test_they_end_with_a_process_that_does_not_close_them(tmp_path):
    lines = (
        "import os",
        "from optathlon.tasks.data.data_workers import DataWorkers",
        "workers = DataWorkers(2)",
        "print(*{pid for pid in workers.load(lambda _: os.getpid(), range(4))}, flush=True)",
    )
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], stdout=subprocess.PIPE, text=True, check=True)
    assert all(map(gone, ended.stdout.split()))


def test_a_killed_process_takes_them_along_and_its_locks_are_free(tmp_path):
    read, write = os.pipe()
    with open(tmp_path / "held", "w") as held, open(tmp_path / "held") as wanted:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (forked := os.fork()):
            try:
                workers = DataWorkers(2)
                os.write(write, pickle.dumps(pids(workers)))
                signal.pause()
            finally:
                os._exit(1)
        os.close(write)
        held.close()
        try:
            with open(read, "rb") as pipe:
                processes = pickle.load(pipe)
            assert not any(map(gone, processes))
            with pytest.raises(BlockingIOError):
                fcntl.flock(wanted, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.kill(forked, signal.SIGKILL)
            os.waitpid(forked, 0)
        fcntl.flock(wanted, fcntl.LOCK_EX)
    assert wait_for(lambda: all(map(gone, processes)))


def test_of_a_workload_that_is_sent_they_are_left_behind(two):
    pids(two)
    assert pickle.loads(pickle.dumps(two)).count == 0
