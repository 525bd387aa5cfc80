"""Refuses what can be saved in a checkpoint, but not loaded again."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint

from optathlon.optimizers import OptimizerError
from optathlon.tasks import TaskError
from optathlon.tasks.errors import kind

CONTAINERS = (dict, OrderedDict, Counter, list, tuple, set, torch.Size)
VALUES = (type(None), bool, int, float, complex, str, bytes, bytearray, torch.dtype, torch.device)
OWNERS = {"optimizers": OptimizerError, "workload": TaskError}
"""Who gives the parts of a state that are neither tensors nor ours."""


def verify(state: dict[str, Any], file: Path) -> None:
    """Raise OptimizerError, TaskError or TypeError, which names the place, unless torch loads `file`, in which `state`
    was saved. A numpy number in an optimizer's state would be found by whoever goes on after a kill, too late."""
    if classes := get_unsafe_globals_in_checkpoint(file):
        path, value = next(_not_loadable(state, []), (["its state"], classes))
        raise OWNERS.get(path[0], TypeError)(
            f"{'.'.join(path)} is {kind(value)}, with which no checkpoint can be loaded again; "
            "keep plain numbers, text, lists, dictionaries and tensors there"
        )


def _not_loadable(value: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    """Yields what no checkpoint may hold, with the keys that lead to it."""
    if type(value) in CONTAINERS:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _not_loadable(item, [*path, str(key)])
    elif type(value) not in VALUES and not isinstance(value, torch.Tensor):
        yield path, value
