"""Data workers fetch what this process would; for a GPU into memory from which it copies without being waited for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from optathlon.tasks.data import data_workers, loading
from optathlon.tasks.randomness import generator
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Workload


class Nothing(Workload):
    def batches(self, epoch, start=0):
        return iter(())

    def loss(self, batch, player):
        raise NotImplementedError

    def evaluate(self, split):
        return {}


def on(device: str, data_workers: int) -> Nothing:
    protocol = Protocol(length=1, unit="epochs", batch=1)
    return Nothing(protocol, Path(), device=device, data_workers=data_workers)


def numbers(job: tuple[int, list[int]]) -> torch.Tensor:
    epoch, places = job
    return torch.from_numpy(generator("test", epoch, *places).random(3))


JOBS = [(1, list(range(place, place + 3))) for place in range(11)]


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_fetches_the_same_in_the_same_order(workers):
    alone = [*loading.load(numbers, JOBS, 0)]
    assert all(map(torch.equal, loading.load(numbers, JOBS, workers), alone))
    assert [*map(len, alone)] == [3] * len(JOBS)


def test_workers_leave_torchs_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert len([*loading.load(numbers, JOBS, 1)]) == len(JOBS)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda", True), ("cuda:1", True)])
def test_what_workers_fetch_for_a_gpu_is_page_locked(device, pinned, monkeypatch):
    asked = {}

    def loader(jobs, **options):
        asked.update(options)
        return iter(jobs)

    monkeypatch.setattr(data_workers, "DataLoader", loader)
    assert len([*on(device, data_workers=2).load_all(numbers, JOBS)]) == len(JOBS)
    assert (asked["pin_memory"], asked["num_workers"]) == (pinned, 2)


def test_a_copy_to_the_device_is_not_waited_for():
    class Copies(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.Tensor.to:
                copies.append((args[1], dict(kwargs or {})))
            return func(*args, **(kwargs or {}))

    copies: list[tuple[torch.device, dict[str, bool]]] = []
    with Copies():
        there = on("cpu", 0).on_device(torch.from_numpy(np.arange(3)))
    assert copies == [(torch.device("cpu"), {"non_blocking": True})]
    assert there.tolist() == [0, 1, 2]
