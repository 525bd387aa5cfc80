"""Weights that are spread over processes, as FSDP2 does it: all-reduces what a process must know of the others' rows.

For the projection each process sums over the rows it has, perhaps none. Of the others' rows it must know five numbers
per tensor: how many rows are over the limit, and the sums of g.w, w.u, |g|^2 and |w|^2. One packed sum carries them for
all tensors. It carries a count and not the largest cosine, as a maximum would lose a NaN among the rows. AdaRem must
know each tensor's largest momentum, by one packed maximum, and its sphere the sums of squares, by one packed sum.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from optathlon.optimizers.kernels.scale_invariance import CHANNEL, LAYER, NONE, Radial, ScaleInvariance
from optathlon.optimizers.kernels.state import RowDims

_PLAIN = (Tensor, torch.nn.Parameter)
_State = TypeVar("_State", bound=tuple[Any, ...])


class Shard(NamedTuple):
    """What a process must know of a tensor of which it has some rows."""

    group: Any
    """The process group whose members have the other rows."""
    shape: torch.Size
    """Of the whole tensor."""


def shards(params: Sequence[Tensor], dims: Sequence[RowDims]) -> list[Shard | None]:
    """Returns each parameter's Shard; None for plain tensors, and for DTensors whose rows are cut between processes."""
    # Whoever has a DTensor has imported its module; to import it here would cost every other process a second.
    tensor = sys.modules.get("torch.distributed.tensor")
    if tensor is None:
        return [None] * len(params)
    return [_shard(p, d) if isinstance(p, tensor.DTensor) else None for p, d in zip(params, dims, strict=True)]


def _shard(param: Any, dims: RowDims) -> Shard | None:
    cut = _cut_dims(param)
    if len(cut) != 1 or not param.placements[cut[0]].is_shard(0) or (dims is not None and 0 in dims):
        return None
    return Shard(param.device_mesh.get_group(cut[0]), param.shape)


def local(tensors: Sequence[Any]) -> list[Tensor]:
    """Returns this process's parts; plain tensors as they are."""
    return [t.to_local() if hasattr(t, "to_local") else t for t in tensors]


def local_rows(state: _State) -> _State:
    """Returns a step's state, such as AdamPState, with this process's rows in place of each DTensor."""
    return type(state)(
        *([entry.to_local() if hasattr(entry, "to_local") else entry for entry in entries] for entries in state)
    )


def holders(tensor: Any) -> tuple[Any, ...]:
    """Returns the process groups whose members hold the other parts of `tensor`; none for a plain one."""
    if type(tensor) in _PLAIN or not hasattr(tensor, "placements"):
        return ()
    return tuple(tensor.device_mesh.get_group(i) for i in _cut_dims(tensor))


def _cut_dims(tensor: Any) -> list[int]:
    """Returns the dimensions of the mesh along which the processes hold different parts of `tensor`."""
    return [i for i, placement in enumerate(tensor.placements) if not placement.is_replicate()]


def largest(values: Sequence[Tensor], spread: Sequence[tuple[Any, ...]]) -> list[Tensor]:
    """Returns, per value, the largest magnitude over the processes of its groups; NaN if there is one.

    values: without dimensions. spread: for each, its `holders`, all of whose processes must call.
    """
    # The order of floats without sign is that of their bits, NaN on top.
    bits = torch.stack([v.double().abs() for v in values]).view(torch.int64)
    tops = _reduced(bits, spread, torch.distributed.ReduceOp.MAX).view(torch.float64)
    return [top.to(v.dtype) for top, v in zip(tops.unbind(), values, strict=True)]


def sums(values: Sequence[Tensor], spread: Sequence[tuple[Any, ...]]) -> list[Tensor]:
    """Returns, per value, the sum over the processes of its groups; arguments as in `largest`."""
    return list(_reduced(torch.stack(list(values)), spread, torch.distributed.ReduceOp.SUM).unbind())


def _reduced(packed: Tensor, spread: Sequence[tuple[Any, ...]], operation: Any) -> Tensor:
    """Returns `packed` after one all-reduce per process group, of all entries that it holds."""
    for group in {id(g): g for groups in spread for g in groups}.values():
        held = torch.tensor([i for i, groups in enumerate(spread) if any(g is group for g in groups)])
        held = held.to(packed.device)
        entries = packed[held]
        torch.distributed.all_reduce(entries, operation, group=group)
        packed[held] = entries
    return packed


def radials(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    updates: Sequence[Tensor],
    dims: Sequence[RowDims],
    shards_: Sequence[Any],
    invariance: ScaleInvariance,
    wd_ratio: float,
) -> list[Radial | None]:
    """Returns what `projection.radials` does, of the local rows of tensors of one device and dtype.

    All the processes that hold rows of them must call.
    """
    result: list[Radial | None] = [None] * len(dims)
    rows: dict[int, tuple[Tensor, Tensor]] = {}
    table = torch.zeros(len(dims), 5, dtype=torch.float64, device=weights[0].device)
    for i, (weight, grad, update, over) in enumerate(zip(weights, grads, updates, dims, strict=True)):
        if over is not None:
            sums = [(a * b).sum(over, keepdim=True) for a, b in _pairs(weight, grad, update)]
            limit = invariance.delta / math.sqrt(math.prod(shards_[i].shape[1:]))
            above = ~(_cosine(sums[0], sums[2], sums[3], invariance.eps) < limit)  # NaN is above
            table[i] = torch.stack([above.sum(), *(s.sum() for s in sums)])
            rows[i] = sums[1], sums[3]
    table = _reduced(table, [(shard.group,) for shard in shards_], torch.distributed.ReduceOp.SUM)
    for i, (along, square) in rows.items():
        above, dot, whole_along, grad_square, whole_square = table[i].to(square.dtype).unbind()
        channel = (above == 0) & (invariance.projection != "layer")
        limit = invariance.delta / math.sqrt(shards_[i].shape.numel())
        layer = (_cosine(dot, grad_square, whole_square, invariance.eps) < limit) & (invariance.projection != "channel")
        view = torch.where(channel, CHANNEL, torch.where(layer, LAYER, NONE)).to(square.dtype)
        by_layer = torch.where(layer, _multiple(whole_along, whole_square, invariance.eps), 0.0)
        multiple = torch.where(channel, _multiple(along, square, invariance.eps), by_layer)
        result[i] = Radial(multiple, torch.where(view == NONE, torch.ones_like(multiple), wd_ratio), view)
    return result


def _pairs(weight: Tensor, grad: Tensor, update: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(grad, weight), (update, weight), (grad, grad), (weight, weight)]


def _cosine(dot: Tensor, grad_square: Tensor, square: Tensor, eps: float) -> Tensor:
    return dot.abs() / (grad_square.sqrt().clamp_min(eps) * square.sqrt().clamp_min(eps))


def _multiple(along: Tensor, square: Tensor, eps: float) -> Tensor:
    return along / (square.sqrt() + eps).square()
