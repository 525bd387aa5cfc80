"""Weights that are spread over processes, as FSDP2 has them: what must be known of the others' parts, all at once.

For the projection each process sums over the rows it has, perhaps none. Of the others' rows it must know five numbers a
tensor: how many rows are over the limit, and the sums of g.w, w.u, |g|^2 and |w|^2. They travel in one packed sum. A
count in place of the largest cosine: a NaN among the rows would get lost in a maximum. AdaRem must know each tensor's
largest momentum, in one packed maximum, and its sphere the sums of squares, in one packed sum.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from optathlon.optimizers.kernels.rule import CHANNEL, LAYER, NONE, Radial, Rule

_PLAIN = (Tensor, torch.nn.Parameter)


class Shard(NamedTuple):
    """Who has the other rows of a tensor, and its whole shape."""

    group: Any
    shape: torch.Size


def shards(params: Sequence[Tensor], dims: Sequence[tuple[int, ...] | None]) -> list[Shard | None]:
    """For each parameter its Shard; None for plain tensors, and for DTensors whose rows are not each in one process."""
    tensor = sys.modules.get("torch.distributed.tensor")
    if tensor is None:
        return [None] * len(params)
    return [_shard(p, d) if isinstance(p, tensor.DTensor) else None for p, d in zip(params, dims, strict=True)]


def _shard(param: Any, dims: tuple[int, ...] | None) -> Shard | None:
    cut = [i for i, placement in enumerate(param.placements) if not placement.is_replicate()]
    if len(cut) != 1 or not param.placements[cut[0]].is_shard(0) or (dims is not None and 0 in dims):
        return None
    return Shard(param.device_mesh.get_group(cut[0]), param.shape)


def local(tensors: Sequence[Any]) -> list[Tensor]:
    """This process's parts; plain tensors as they are."""
    return [t.to_local() if hasattr(t, "to_local") else t for t in tensors]


def holders(tensor: Any) -> tuple[Any, ...]:
    """The process groups whose members hold the other parts of `tensor`; none for a plain one."""
    if type(tensor) in _PLAIN or not hasattr(tensor, "placements"):
        return ()
    cut = [i for i, placement in enumerate(tensor.placements) if not placement.is_replicate()]
    return tuple(tensor.device_mesh.get_group(i) for i in cut)


def largest(values: Sequence[Tensor], spread: Sequence[tuple[Any, ...]]) -> list[Tensor]:
    """The largest of each value without sign over the processes of its groups, NaN if there is one.

    values: without dimensions. spread: for each, its `holders`, all of whose processes must call.
    """
    # The order of floats without sign is that of their bits, NaN on top.
    bits = torch.stack([v.double().abs() for v in values]).view(torch.int64)
    found = _reduced(bits, spread, torch.distributed.ReduceOp.MAX).view(torch.float64)
    return [f.to(v.dtype) for f, v in zip(found.unbind(), values, strict=True)]


def sums(values: Sequence[Tensor], spread: Sequence[tuple[Any, ...]]) -> list[Tensor]:
    """As `largest`, the sums."""
    return list(_reduced(torch.stack(list(values)), spread, torch.distributed.ReduceOp.SUM).unbind())


def _reduced(packed: Tensor, spread: Sequence[tuple[Any, ...]], operation: Any) -> Tensor:
    """One all-reduce for each process group, of all entries that it holds."""
    for group in {id(g): g for groups in spread for g in groups}.values():
        own = torch.tensor([i for i, groups in enumerate(spread) if any(g is group for g in groups)])
        own = own.to(packed.device)
        part = packed[own]
        torch.distributed.all_reduce(part, operation, group=group)
        packed[own] = part
    return packed


def radials(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    updates: Sequence[Tensor],
    dims: Sequence[tuple[int, ...] | None],
    places: Sequence[Shard],
    rule: Rule,
    wd_ratio: float,
) -> list[Radial | None]:
    """As `projection.radials`, of the local rows of tensors of one device and dtype. All their processes must call."""
    found: list[Radial | None] = [None] * len(dims)
    rows: dict[int, tuple[Tensor, Tensor]] = {}
    table = torch.zeros(len(dims), 5, dtype=torch.float64, device=weights[0].device)
    for i, (weight, grad, update, over) in enumerate(zip(weights, grads, updates, dims, strict=True)):
        if over is not None:
            sums = [(a * b).sum(over, keepdim=True) for a, b in _pairs(weight, grad, update)]
            limit = rule.delta / math.sqrt(math.prod(places[i].shape[1:]))
            above = ~(_cosine(sums[0], sums[2], sums[3], rule.eps) < limit)  # NaN is above
            table[i] = torch.stack([above.sum(), *(s.sum() for s in sums)])
            rows[i] = sums[1], sums[3]
    table = _reduced(table, [(p.group,) for p in places], torch.distributed.ReduceOp.SUM)
    for i, (along, square) in rows.items():
        above, dot, whole_along, grad_square, whole_square = table[i].to(square.dtype).unbind()
        channel = (above == 0) & (rule.projection != "layer")
        limit = rule.delta / math.sqrt(places[i].shape.numel())
        layer = (_cosine(dot, grad_square, whole_square, rule.eps) < limit) & (rule.projection != "channel")
        view = torch.where(channel, CHANNEL, torch.where(layer, LAYER, NONE)).to(square.dtype)
        by_layer = torch.where(layer, _part(whole_along, whole_square, rule.eps), 0.0)
        part = torch.where(channel, _part(along, square, rule.eps), by_layer)
        found[i] = Radial(part, torch.where(view == NONE, torch.ones_like(part), wd_ratio), view)
    return found


def _pairs(weight: Tensor, grad: Tensor, update: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(grad, weight), (update, weight), (grad, grad), (weight, weight)]


def _cosine(dot: Tensor, grad_square: Tensor, square: Tensor, eps: float) -> Tensor:
    return dot.abs() / (grad_square.sqrt().clamp_min(eps) * square.sqrt().clamp_min(eps))


def _part(along: Tensor, square: Tensor, eps: float) -> Tensor:
    return along / (square.sqrt() + eps).square()
