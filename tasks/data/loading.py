"""Micro-batches of an epoch, fetched in order by any number of data workers."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

Item = TypeVar("Item")


def split(order: np.ndarray, size: int, per_update: int, drop_last: bool = False) -> list[np.ndarray]:
    """Cut an epoch's `order` into micro-batches of `size`.

    The last, short one is left out if `drop_last`; if an update takes several of them, `per_update`, an incomplete
    last update is left out as well.
    """
    whole = len(order) // size
    count = whole if drop_last or per_update > 1 else -(-len(order) // size)
    return [order[i * size : (i + 1) * size] for i in range(count // per_update * per_update)]


def share(count: int, start: int, rank: int, world: int) -> range:
    """The micro-batch indices that process `rank` of `world` takes, from `start` (the first of an update) on: of every
    update as many, if `world` divides its micro-batches."""
    return range(start + rank, count, world)


class _Jobs(Dataset):
    def __init__(self, fetch: Callable[[Any], Any], jobs: Sequence[Any]) -> None:
        self.fetch, self.jobs = fetch, jobs

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, index: int) -> Any:
        return self.fetch(self.jobs[index])


def _as_it_is(item: Item) -> Item:
    return item


def _quiet(_: int) -> None:
    """Signals for the run reach every process of its group; data workers leave them to the training process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)


def load(fetch: Callable[[Item], Any], jobs: Sequence[Item], workers: int, pin: bool = False) -> Iterator[Any]:
    """fetch(job) for each job, in order, in this process (0 workers) or ahead of time in `workers` others.

    `fetch` must be a function of the job alone: its random numbers come from tasks.randomness, never a global stream.
    pin: whether what workers fetch is put into page-locked memory, from which a GPU copies without being waited for.
    """
    if workers == 0:
        yield from map(fetch, jobs)
        return
    # One of its own: without it the loader would draw the workers' seeds from torch's global generator.
    workers_generator = torch.Generator().manual_seed(0)
    yield from DataLoader(
        _Jobs(fetch, jobs),
        batch_size=None,
        num_workers=workers,
        worker_init_fn=_quiet,
        generator=workers_generator,
        collate_fn=_as_it_is,
        pin_memory=pin,
    )
