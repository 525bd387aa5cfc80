"""One state of those that the processes of a run hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class OutOfStep(RuntimeError):  # noqa: N818
    """The processes of a run do not have the same weights, or not the same state where it must be."""


def merged(states: Sequence[Any], where: str = "its state") -> Any:
    """One state of those of all processes: dictionaries are merged by key, all else must be equal (OutOfStep)."""
    if all(isinstance(state, Mapping) for state in states):
        keys = dict.fromkeys(key for state in states for key in state)
        return {key: merged([s[key] for s in states if key in s], f"{where}[{key!r}]") for key in keys}
    if not all(_equal(states[0], other) for other in states[1:]):
        raise OutOfStep(
            f"the workload's state differs between processes: {where}; what belongs to a part of the update must be"
            " kept under the part's number (tasks/workload.py)"
        )
    return states[0]


def _equal(left: Any, right: Any) -> bool:
    """Bit for bit, so that a NaN equals itself."""
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        alike = (left.dtype, left.shape) == (right.dtype, right.shape)
        return alike and left.reshape(-1).view(torch.uint8).equal(right.reshape(-1).view(torch.uint8))
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right or (left != left and right != right))
