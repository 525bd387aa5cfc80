"""A run has one set of data workers, which changes nothing about it, and ends with it on every way out."""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
import os
import pickle
import signal

import pytest
import torch

from optathlon.results import Store
from optathlon.slurm.signals import PREEMPTED
from optathlon.suite.errors import FAILED, OK
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand, run_of
from optathlon.suite.training.team import ALONE
from optathlon.suite.user_modules import look_beside
from optathlon.suite.working.job import Job, carry_out
from tests.suite.sweeps import HERE, write
from tests.waiting import wait_for

look_beside(HERE)
FORMAT = (
    'name = "toys"\nscale = "smoke"\ntasks = ["toy:TASK"]\nseeds = [0]\n{}[[optimizer]]\nname = "sgd"\nfixed.lr = 0.1\n'
)


def job_in(folder, data_workers, protocol="") -> Job:
    folder.mkdir(exist_ok=True)
    plan = expand(sweep_reader.load(write(folder, FORMAT.format(protocol))), folder)
    run = run_of(plan, plan.runs[0])
    return Job(run, Store(folder / "store"), folder, data_workers, device="cpu", say=lambda _: None)


OTHERS: set[int] = set()
"""This process's children before the test: data workers of workloads that earlier tests have not closed."""


@pytest.fixture(autouse=True)
def know_others():
    OTHERS.clear()
    OTHERS.update(children())


def children() -> frozenset[int]:
    return frozenset(child.pid for child in multiprocessing.active_children()) - OTHERS


class Looks:
    """The run's question whether to stop, asked after each update: notes its data workers, and does at one what it is
    told to."""

    def __init__(self, at=0, act=lambda: False):
        self.count, self.at, self.act, self.seen = itertools.count(1), at, act, set()

    def __call__(self):
        self.seen.add(children())
        return next(self.count) == self.at and self.act()


def outcome(job):
    record = job.store.record(job.run.id)
    return None if record is None else (record.status, record.weights, record.scores, record.curve)


def carried_out(job, looks):
    return carry_out(job, ALONE, torch.device("cpu"), looks)


def ending(job, attempt=1):
    return job.store.endings(job.run.id)[attempt]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The outcome without data workers."""
    job = job_in(tmp_path_factory.mktemp("alone"), 0)
    assert carried_out(job, Looks()) == OK
    return outcome(job)


@pytest.mark.parametrize("data_workers", [1, 3])
def test_the_same_processes_serve_all_epochs_and_evaluations(data_workers, alone, tmp_path):
    job, looks = job_in(tmp_path, data_workers), Looks()
    assert carried_out(job, looks) == OK
    assert [len(pids) for pids in looks.seen] == [data_workers]
    assert outcome(job) == alone
    assert not children()


def test_a_stop_in_an_epoch_ends_them_and_any_number_goes_on(alone, tmp_path):
    job = job_in(tmp_path, 2)
    assert carried_out(job, Looks(10, lambda: True)) == PREEMPTED
    assert not children()
    assert carried_out(dataclasses.replace(job, data_workers=1), Looks(7, lambda: True)) == PREEMPTED
    assert not children()
    assert carried_out(dataclasses.replace(job, data_workers=0), Looks()) == OK
    assert outcome(job) == alone


def test_they_end_when_the_run_fails(tmp_path):
    job = job_in(tmp_path, 2, "protocol.settings.crash = true\n")
    assert carried_out(job, Looks()) == FAILED
    assert "ZeroDivisionError" in ending(job).reason
    assert not children()


def test_a_killed_data_worker_fails_the_attempt_and_the_next_one_goes_on(alone, tmp_path):
    job = job_in(tmp_path, 2)

    def kill_one():
        os.kill(min(children()), signal.SIGKILL)
        return False

    assert carried_out(job, Looks(4, kill_one)) == FAILED
    assert ending(job).failure == "killed"
    assert "DataLoader worker (pid" in ending(job).reason
    assert not children()
    assert carried_out(job, Looks()) == OK
    assert outcome(job) == alone


def test_a_killed_run_takes_them_along(tmp_path):
    read, write_end = os.pipe()
    if not (run := os.fork()):
        try:
            carried_out(
                job_in(tmp_path, 2),
                Looks(4, lambda: os.write(write_end, pickle.dumps(children())) and signal.pause()),
            )
        finally:
            os._exit(1)
    os.close(write_end)
    try:
        with open(read, "rb") as pipe:
            processes = pickle.load(pipe)
    finally:
        os.kill(run, signal.SIGKILL)
        os.waitpid(run, 0)
    assert len(processes) == 2
    assert wait_for(lambda: not any(map(is_running, processes)))


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
