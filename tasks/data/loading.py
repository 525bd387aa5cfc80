"""Micro-batches of an epoch, fetched in order by any number of data workers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from optathlon.tasks.data.data_workers import DataWorkers

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


def load(fetch: Callable[[Item], Any], jobs: Sequence[Item], workers: int, pin: bool = False) -> Iterator[Any]:
    """fetch(job) for each job, in order, in this process (0 workers) or ahead of time in `workers` others.

    They are for this call alone; those of `Workload.load_share` and `load_all` are kept. `fetch` must be a function of
    the job alone: its random numbers come from tasks.randomness, never a global stream. pin: as in `DataWorkers`.
    """
    with contextlib.closing(DataWorkers(workers, pin)) as processes:
        yield from processes.load(fetch, jobs)
