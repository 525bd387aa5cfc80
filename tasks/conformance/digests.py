"""Digests of what a workload holds, bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from optathlon.tasks.verified_workload import state_of
from optathlon.tasks.workload import Batch, Workload


def digest(value: object) -> str:
    """A digest of nested tensors, numbers and containers, bit for bit."""
    hashed = hashlib.sha256()
    _feed(hashed, value)
    return hashed.hexdigest()


def _feed(hashed: hashlib._Hash, value: object) -> None:
    if isinstance(value, torch.Tensor):
        hashed.update(str((value.dtype, tuple(value.shape))).encode())
        hashed.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, Mapping):
        for key in value:
            _feed(hashed, (str(key), value[key]))
    elif isinstance(value, list | tuple):
        hashed.update(f"{len(value)}[".encode())
        for item in value:
            _feed(hashed, item)
    else:
        hashed.update(repr(value).encode())


def digest_of_batch(batch: Batch) -> str:
    return digest([batch.data, batch.index, batch.of, batch.size, batch.lr_scale])


def pieces(workload: Workload) -> dict[str, str]:
    """A digest of each thing that an evaluation must leave as it is, by a name that a user knows it by."""
    digests: dict[str, str] = {}
    for player, net in workload.players.items():
        digests |= {f"parameter {player}.{name}": digest(p) for name, p in net.named_parameters()}
        digests |= {f"requires_grad of {player}.{name}": str(p.requires_grad) for name, p in net.named_parameters()}
        digests |= {f"buffer {player}.{name}": digest(b) for name, b in net.named_buffers()}
        digests |= {f"mode of {player}.{name}".rstrip("."): str(m.training) for name, m in net.named_modules()}
    return digests | {f"state_dict()[{key!r}]": digest(value) for key, value in state_of(workload).items()}


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """The first name whose digest differs, and how many others do; None if none does."""
    names = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{others}" if names else None
