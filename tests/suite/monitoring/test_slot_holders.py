"""A launch that waits says for whom: the sweeps whose workers hold this machine's slots."""

from __future__ import annotations

import subprocess
import sys

import pytest

from optathlon.slurm import slots
from optathlon.suite.monitoring import slot_holders


@pytest.fixture
def worker():
    """A process whose command line is that of a worker of the sweep "rates"."""
    words = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", "work", "rates", "1"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def held(monkeypatch, holders):
    monkeypatch.setattr(slots, "names", lambda *_: ["core-0", "core-1"])
    monkeypatch.setattr(slots, "holders", lambda: holders)


def test_all_slots_held_by_another_sweep_are_the_reason(monkeypatch, worker):
    held(monkeypatch, {"core-0": worker.pid, "core-1": worker.pid})
    assert slot_holders.waiting_message("mine") == "waits for a slot: all are held by rates"


def test_a_slot_that_is_free_or_ones_own_is_none(monkeypatch, worker):
    held(monkeypatch, {"core-0": worker.pid})
    assert slot_holders.waiting_message("mine") == ""
    held(monkeypatch, {"core-0": worker.pid, "core-1": worker.pid})
    assert slot_holders.waiting_message("rates") == ""


def test_a_holder_that_is_no_worker_is_named_by_its_process(monkeypatch):
    gone = 2**22 + 1  # beyond the greatest number of a process
    held(monkeypatch, {"core-0": gone, "core-1": gone})
    assert slot_holders.waiting_message("mine") == f"waits for a slot: all are held by process {gone}"
