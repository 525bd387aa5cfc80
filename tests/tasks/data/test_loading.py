"""An epoch is cut into micro-batches, of which processes take turns."""

from __future__ import annotations

import numpy as np
import pytest

from optathlon.tasks.data.loading import share, split


@pytest.mark.parametrize(
    ("count", "size", "per_update", "drop_last", "sizes"),
    [
        (10, 4, 1, False, [4, 4, 2]),
        (10, 4, 1, True, [4, 4]),
        (8, 4, 1, False, [4, 4]),
        (10, 2, 2, False, [2, 2, 2, 2]),
        (11, 2, 2, False, [2, 2, 2, 2]),
        (3, 4, 1, False, [3]),
        (3, 4, 1, True, []),
        (3, 4, 2, False, []),
        (0, 4, 1, False, []),
    ],
)
def test_only_an_update_of_one_micro_batch_may_have_a_short_one(count, size, per_update, drop_last, sizes):
    order = np.arange(100, 100 + count)
    parts = split(order, size, per_update, drop_last)
    assert [len(part) for part in parts] == sizes
    assert [number for part in parts for number in part] == list(order[: sum(sizes)])


@pytest.mark.parametrize("start", [0, 4])
def test_processes_take_all_micro_batches_between_them_and_as_many_of_each_update(start):
    taken = [list(share(12, start, rank, world=2)) for rank in range(2)]
    assert sorted(taken[0] + taken[1]) == list(range(start, 12))
    for update in range(start, 12, 4):
        assert [len([index for index in own if update <= index < update + 4]) for own in taken] == [2, 2]
