"""How an epoch is cut into micro-batches, and which of them a process takes."""

from __future__ import annotations

import numpy as np


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
