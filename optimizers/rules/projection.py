"""The projection of SGDP and AdamP: which weights are scale-invariant, and what of a step lies along them.

Removing an update's radial part from a row w of a scale-invariant weight, u - (w.u / (|w| + eps)^2) w, only adds a
multiple of w to the step. So everything follows from four sums a row (g.w, |g|, |w|, w.u): the tests by channel and by
layer, the projection and the decay, without a pass over the elements in between and without asking the device.

Source: Heo et al., AdamP, ICLR 2021, section 3 and equations 10 and 11; clovaai/AdamP 0.3.0.
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from optathlon.optimizers.kernels.rule import CHANNEL, LAYER, NONE, PROJECTIONS, VIEWS, Radial, Rule
from optathlon.optimizers.rules._base import BaseOptimizer, check


def row_dims(param: Tensor, group: dict[str, Any]) -> tuple[int, ...] | None:
    """The dimensions that make a row of `param`, all but the channel's; None if it is never projected."""
    if param.ndim < 2 or param.numel() == 0 or group["projection"] == "off":
        return None
    channel = group["channel_dim"] % param.ndim
    return tuple(d for d in range(param.ndim + param.is_complex()) if d != channel)


def radial(
    weight: Tensor,
    grad: Tensor,
    update: Tensor,
    dims: tuple[int, ...],
    rule: Rule,
    wd_ratio: float,
    capturable: bool = False,
) -> Radial:
    """Which view of `weight` is orthogonal to `grad`, and the radial part of `update` there.

    The largest |cosine| of all rows decides by channel, then that of the whole tensor; a comparison with NaN fails.
    On the host, unless `capturable`, what the decision makes superfluous is not computed.
    """
    dot = (grad * weight).sum(dims, keepdim=True)
    along = (update * weight).sum(dims, keepdim=True)
    grad_norm = torch.linalg.vector_norm(grad, dim=dims, keepdim=True)
    norm = torch.linalg.vector_norm(weight, dim=dims, keepdim=True)

    row_limit, limit = _limits(weight, norm, rule.delta)
    if weight.is_cpu and not capturable:
        return _radial_on_host((dot, along, grad_norm, norm), row_limit, limit, rule, wd_ratio)
    channel = _cosine(dot, grad_norm, norm, rule.eps).amax() < row_limit
    whole = torch.linalg.vector_norm(norm)
    layer = _cosine(dot.sum(), torch.linalg.vector_norm(grad_norm), whole, rule.eps) < limit
    view = _view(channel, layer, rule.projection, norm.dtype)
    return Radial(*_choose(view, _part(along, norm, rule.eps), _part(along.sum(), whole, rule.eps), wd_ratio), view)


def _radial_on_host(
    sums: tuple[Tensor, Tensor, Tensor, Tensor], row_limit: float, limit: float, rule: Rule, wd_ratio: float
) -> Radial:
    dot, along, grad_norm, norm = sums
    if rule.projection != "layer" and _cosine(dot, grad_norm, norm, rule.eps).amax().item() < row_limit:
        return Radial(_part(along, norm, rule.eps), wd_ratio, norm.new_tensor(CHANNEL))
    whole = torch.linalg.vector_norm(norm)
    if rule.projection != "channel":
        cosine = _cosine(dot.sum(), torch.linalg.vector_norm(grad_norm), whole, rule.eps)
        if cosine.item() < limit:
            return Radial(_part(along.sum(), whole, rule.eps), wd_ratio, norm.new_tensor(LAYER))
    return Radial(0.0, 1.0, norm.new_tensor(NONE))


def radials(
    weights: list[Tensor],
    grads: list[Tensor],
    updates: list[Tensor],
    dims: list[tuple[int, ...] | None],
    rule: Rule,
    wd_ratio: float,
) -> list[Radial | None]:
    """`radial` of those of many tensors, of one device and dtype, that have `dims`; all decisions fall together."""
    chosen = [(i, d) for i, d in enumerate(dims) if d is not None]
    found: list[Radial | None] = [None] * len(dims)
    if chosen:
        own, on, of = ([ts[i] for i, _ in chosen] for ts in (weights, grads, updates))
        for (i, _), radial_ in zip(chosen, _radials(own, on, of, [d for _, d in chosen], rule, wd_ratio), strict=True):
            found[i] = radial_
    return found


def _radials(
    weights: list[Tensor],
    grads: list[Tensor],
    updates: list[Tensor],
    dims: list[tuple[int, ...]],
    rule: Rule,
    wd_ratio: float,
) -> list[Radial]:
    pairs = (torch._foreach_mul(grads, weights), torch._foreach_mul(updates, weights))
    dots, alongs = ([t.sum(d, keepdim=True) for t, d in zip(ts, dims, strict=True)] for ts in pairs)
    grad_norms, norms = (
        [torch.linalg.vector_norm(t, dim=d, keepdim=True) for t, d in zip(ts, dims, strict=True)]
        for ts in (grads, weights)
    )
    sums = torch.stack([_packed(dots), _packed(alongs)])
    lengths = torch.stack([_packed(grad_norms), _packed(norms)])
    rows = [n.numel() for n in norms]
    row_limits, limits = zip(*(_limits(w, n, rule.delta) for w, n in zip(weights, norms, strict=True)), strict=True)

    largest = [c.amax() for c in _cosine(sums[0], lengths[0], lengths[1], rule.eps).split(rows)]
    dot, along = torch.stack([s.sum(1) for s in sums.split(rows, 1)], 1)
    grad_norm, whole = torch.stack([torch.linalg.vector_norm(n, dim=1) for n in lengths.split(rows, 1)], 1)
    views = _view(
        _below(largest, row_limits),
        _below(list(_cosine(dot, grad_norm, whole, rule.eps).unbind()), limits),
        rule.projection,
        whole.dtype,
    )
    part, ratio = _choose(
        _spread(views, rows),
        _part(sums[1], lengths[1], rule.eps),
        _spread(_part(along, whole, rule.eps), rows),
        wd_ratio,
    )
    split = zip(part.split(rows), ratio.split(rows), views.unbind(), norms, strict=True)
    return [Radial(p.view_as(n), r.view_as(n), v.clone()) for p, r, v, n in split]


def _limits(weight: Tensor, norm: Tensor, delta: float) -> tuple[float, float]:
    return delta / math.sqrt(weight.numel() / norm.numel()), delta / math.sqrt(weight.numel())


def _cosine(dot: Tensor, grad_norm: Tensor, norm: Tensor, eps: float) -> Tensor:
    return dot.abs() / (grad_norm.clamp_min(eps) * norm.clamp_min(eps))


def _part(along: Tensor, norm: Tensor, eps: float) -> Tensor:
    return along / (norm + eps).square()


def _view(channel: Tensor, layer: Tensor, projection: str, dtype: torch.dtype) -> Tensor:
    by_channel = channel if projection != "layer" else torch.zeros_like(channel)
    by_layer = layer & ~by_channel if projection != "channel" else torch.zeros_like(layer)
    return by_channel.to(dtype) * CHANNEL + by_layer.to(dtype) * LAYER


def _choose(view: Tensor, by_row: Tensor, by_layer: Tensor, wd_ratio: float) -> tuple[Tensor, Tensor]:
    zero = torch.zeros_like(by_row)
    part = torch.where(view == CHANNEL, by_row, torch.where(view == LAYER, by_layer, zero))
    return part, torch.where(view == NONE, zero + 1.0, zero + wd_ratio)


def _below(values: list[Tensor], limits: Sequence[float]) -> Tensor:
    """value < limit, by the sign of their difference: limits as a tensor would have to be copied to the device."""
    return torch.stack(torch._foreach_sub(values, list(limits))) < 0  # pyright: ignore[reportArgumentType]


def _packed(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])


def _spread(values: Tensor, rows: list[int]) -> Tensor:
    """Each tensor's value for each of its rows."""
    return torch.cat([v.expand(n) for v, n in zip(values.unbind(), rows, strict=True)])


class ProjectedOptimizer(BaseOptimizer):
    """Checks the projection's options and tells what it did."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for name in ("eps", "delta", "wd_ratio", "weight_decay"):
            check(name, group[name])
        if group["projection"] not in PROJECTIONS:
            raise ValueError(f"Invalid projection: {group['projection']!r} (must be one of {', '.join(PROJECTIONS)})")
        for param in group["params"]:
            if param.ndim > 1 and not -param.ndim <= group["channel_dim"] < param.ndim:
                raise ValueError(f"Invalid channel_dim: {group['channel_dim']} for a parameter {tuple(param.shape)}")

    def projections(self) -> dict[str, int]:
        """How many tensors were projected in their last step, by view: {"none": n, "channel": n, "layer": n}.

        Counts those that could be: more than one dimension, some gradient so far, projection not off.
        """
        views = [int(state["view"]) for state in self.state.values() if "view" in state]
        return {name: views.count(view) for name, view in VIEWS.items()}


def descend(
    param: Tensor,
    weight: Tensor,
    update: Tensor,
    found: Radial | None,
    step_size: float | Tensor,
    shrink: float | Tensor,
) -> None:
    """param <- weight (1 - shrink ratio) - step_size (update - part weight); `weight` is `param` in full precision."""
    scale = -shrink if found is None else step_size * found.part - shrink * found.ratio
    if weight is not param or isinstance(step_size, Tensor):
        param.add_(update * -step_size + weight * scale)
        return
    if isinstance(scale, Tensor):
        param.addcmul_(param, scale)
    elif scale:
        param.add_(param, alpha=scale)
    param.add_(update, alpha=-step_size)


def descend_many(
    params: list[Tensor],
    weights: list[Tensor],
    updates: list[Tensor],
    found: Sequence[Radial | None],
    step_sizes: list[Any],
    shrink: float | Tensor,
) -> None:
    """`descend` of many tensors of one device and dtype. Overwrites `updates`."""
    plain = [i for i, f in enumerate(found) if f is None]
    projected = [(i, f) for i, f in enumerate(found) if f is not None]
    torch._foreach_mul_(updates, [-s for s in step_sizes])
    if plain and isinstance(shrink, Tensor):
        shrinks = torch._foreach_mul([weights[i] for i in plain], shrink)  # pyright: ignore[reportArgumentType]
        torch._foreach_sub_([updates[i] for i in plain], shrinks)
    elif plain and shrink:
        torch._foreach_add_([updates[i] for i in plain], [weights[i] for i in plain], alpha=float(-shrink))
    if projected:
        parts: list[Any] = [f.part for _, f in projected]
        ratios: list[Any] = [f.ratio for _, f in projected]
        scales = torch._foreach_mul(parts, [step_sizes[i] for i, _ in projected])
        shrinks = torch._foreach_mul(ratios, shrink)
        torch._foreach_sub_(scales, shrinks)
        torch._foreach_addcmul_([updates[i] for i, _ in projected], [weights[i] for i, _ in projected], scales)
    torch._foreach_add_(params, updates)
