"""The projection of SGDP and AdamP: which weights are scale-invariant, and what of a step lies along them.

As one would write it on a board, for a weight w with gradient g and update u, and its rows w_r (one per channel):

    if max over r of |cos(g_r, w_r)| < delta / sqrt(length of w_r):      # by channel
        for each r:  u_r <- u_r - (w_r . u_r) w_r / (|w_r| + eps)^2
        decay <- wd_ratio * decay
    elif |cos(g, w)| < delta / sqrt(length of w):                        # by layer
        u <- u - (w . u) w / (|w| + eps)^2
        decay <- wd_ratio * decay

What leaves the update is a multiple of the weight, as the decay is. So everything follows from four sums per row (g.w,
|g|, |w|, w.u), without a pass over the elements in between and without asking the device.

Source: Heo et al., AdamP, ICLR 2021, section 3 and equations 10 and 11; clovaai/AdamP 0.3.0.
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from optathlon.optimizers.kernels.scale_invariance import (
    CHANNEL,
    LAYER,
    NONE,
    PROJECTIONS,
    VIEWS,
    Radial,
    ScaleInvariance,
)
from optathlon.optimizers.kernels.state import RowDims
from optathlon.optimizers.rules.argument_checks import check
from optathlon.optimizers.rules.kept_steps import KeepsSteps


def row_dims(param: Tensor, group: dict[str, Any]) -> RowDims:
    """Returns the dimensions that make a row of `param`, all but the channel's; None if it is never projected."""
    if param.ndim < 2 or param.numel() == 0 or group["projection"] == "off":
        return None
    channel = group["channel_dim"] % param.ndim
    return tuple(d for d in range(param.ndim + param.is_complex()) if d != channel)


def radial(
    weight: Tensor,
    grad: Tensor,
    update: Tensor,
    dims: tuple[int, ...],
    invariance: ScaleInvariance,
    wd_ratio: float,
    capturable: bool = False,
) -> Radial:
    """Decides which view of `weight` is orthogonal to `grad`; returns the radial part of `update` there.

    The largest |cosine| of all rows decides by channel, then that of the whole tensor; a comparison with NaN fails.
    """
    dot = (grad * weight).sum(dims, keepdim=True)
    along = (update * weight).sum(dims, keepdim=True)
    grad_norm = torch.linalg.vector_norm(grad, dim=dims, keepdim=True)
    norm = torch.linalg.vector_norm(weight, dim=dims, keepdim=True)

    row_limit, limit = _limits(weight, norm, invariance.delta)
    # On the host a decision can be read at once, and what it makes superfluous is not computed. On a device reading
    # would be a wait, so both views are computed and `torch.where` chooses.
    if weight.is_cpu and not capturable:
        return _radial_on_host((dot, along, grad_norm, norm), row_limit, limit, invariance, wd_ratio)
    by_channel = _cosine(dot, grad_norm, norm, invariance.eps).amax() < row_limit
    whole = torch.linalg.vector_norm(norm)
    by_layer = _cosine(dot.sum(), torch.linalg.vector_norm(grad_norm), whole, invariance.eps) < limit
    view = _view(by_channel, by_layer, invariance.projection, norm.dtype)
    row_multiple, multiple = _multiple(along, norm, invariance.eps), _multiple(along.sum(), whole, invariance.eps)
    return Radial(*_choose(view, row_multiple, multiple, wd_ratio), view)


def _radial_on_host(
    sums: tuple[Tensor, Tensor, Tensor, Tensor],
    row_limit: float,
    limit: float,
    invariance: ScaleInvariance,
    wd_ratio: float,
) -> Radial:
    dot, along, grad_norm, norm = sums
    eps, projection = invariance.eps, invariance.projection
    if projection != "layer" and _cosine(dot, grad_norm, norm, eps).amax().item() < row_limit:
        return Radial(_multiple(along, norm, eps), wd_ratio, norm.new_tensor(CHANNEL))
    whole = torch.linalg.vector_norm(norm)
    if projection != "channel":
        cosine = _cosine(dot.sum(), torch.linalg.vector_norm(grad_norm), whole, eps)
        if cosine.item() < limit:
            return Radial(_multiple(along.sum(), whole, eps), wd_ratio, norm.new_tensor(LAYER))
    return Radial(0.0, 1.0, norm.new_tensor(NONE))


def radials(
    weights: list[Tensor],
    grads: list[Tensor],
    updates: list[Tensor],
    dims: Sequence[RowDims],
    invariance: ScaleInvariance,
    wd_ratio: float,
) -> list[Radial | None]:
    """Returns `radial` of many tensors of one device and dtype, decided together; None for those without rows."""
    projected = [(i, rows) for i, rows in enumerate(dims) if rows is not None]
    result: list[Radial | None] = [None] * len(dims)
    if projected:
        weights, grads, updates = ([ts[i] for i, _ in projected] for ts in (weights, grads, updates))
        computed = _radials(weights, grads, updates, [rows for _, rows in projected], invariance, wd_ratio)
        for (i, _), radial_ in zip(projected, computed, strict=True):
            result[i] = radial_
    return result


def _radials(
    weights: list[Tensor],
    grads: list[Tensor],
    updates: list[Tensor],
    dims: list[tuple[int, ...]],
    invariance: ScaleInvariance,
    wd_ratio: float,
) -> list[Radial]:
    products = (torch._foreach_mul(grads, weights), torch._foreach_mul(updates, weights))
    dots, alongs = ([t.sum(d, keepdim=True) for t, d in zip(ts, dims, strict=True)] for ts in products)
    grad_norms, norms = (
        [torch.linalg.vector_norm(t, dim=d, keepdim=True) for t, d in zip(ts, dims, strict=True)]
        for ts in (grads, weights)
    )
    # From here on all rows of all tensors lie in one vector: a few operators decide for hundreds of tensors.
    sums = torch.stack([_packed(dots), _packed(alongs)])
    lengths = torch.stack([_packed(grad_norms), _packed(norms)])
    rows = [n.numel() for n in norms]
    limits = (_limits(w, n, invariance.delta) for w, n in zip(weights, norms, strict=True))
    row_limits, whole_limits = zip(*limits, strict=True)

    largest = [c.amax() for c in _cosine(sums[0], lengths[0], lengths[1], invariance.eps).split(rows)]
    dot, along = torch.stack([s.sum(1) for s in sums.split(rows, 1)], 1)
    grad_norm, whole = torch.stack([torch.linalg.vector_norm(n, dim=1) for n in lengths.split(rows, 1)], 1)
    views = _view(
        _below(largest, row_limits),
        _below(list(_cosine(dot, grad_norm, whole, invariance.eps).unbind()), whole_limits),
        invariance.projection,
        whole.dtype,
    )
    multiple, ratio = _choose(
        _spread(views, rows),
        _multiple(sums[1], lengths[1], invariance.eps),
        _spread(_multiple(along, whole, invariance.eps), rows),
        wd_ratio,
    )
    split = zip(multiple.split(rows), ratio.split(rows), views.unbind(), norms, strict=True)
    return [Radial(m.view_as(n), r.view_as(n), v.clone()) for m, r, v, n in split]


def _limits(weight: Tensor, norm: Tensor, delta: float) -> tuple[float, float]:
    """Returns the cosine's limits by channel and by layer; `norm` has one entry per row."""
    return delta / math.sqrt(weight.numel() / norm.numel()), delta / math.sqrt(weight.numel())


def _cosine(dot: Tensor, grad_norm: Tensor, norm: Tensor, eps: float) -> Tensor:
    return dot.abs() / (grad_norm.clamp_min(eps) * norm.clamp_min(eps))


def _multiple(along: Tensor, norm: Tensor, eps: float) -> Tensor:
    return along / (norm + eps).square()


def _view(channel: Tensor, layer: Tensor, projection: str, dtype: torch.dtype) -> Tensor:
    by_channel = channel if projection != "layer" else torch.zeros_like(channel)
    by_layer = layer & ~by_channel if projection != "channel" else torch.zeros_like(layer)
    return by_channel.to(dtype) * CHANNEL + by_layer.to(dtype) * LAYER


def _choose(view: Tensor, by_row: Tensor, by_layer: Tensor, wd_ratio: float) -> tuple[Tensor, Tensor]:
    zero = torch.zeros_like(by_row)
    multiple = torch.where(view == CHANNEL, by_row, torch.where(view == LAYER, by_layer, zero))
    return multiple, torch.where(view == NONE, zero + 1.0, zero + wd_ratio)


def _below(values: list[Tensor], limits: Sequence[float]) -> Tensor:
    """Returns value < limit by the sign of the difference: a tensor of limits would have to be copied to the device."""
    return torch.stack(torch._foreach_sub(values, list(limits))) < 0  # pyright: ignore[reportArgumentType]


def _packed(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])


def _spread(values: Tensor, rows: list[int]) -> Tensor:
    """Repeats each tensor's value for each of its rows."""
    return torch.cat([v.expand(n) for v, n in zip(values.unbind(), rows, strict=True)])


class ProjectedOptimizer(KeepsSteps):
    """The base of AdamP and SGDP: checks the projection's options, and tells which tensors it projected."""

    kept_options = ("fused", "projection", "channel_dim", "delta", "capturable", "differentiable")

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
        """Returns how many tensors had which view in their last step: {"none": n, "channel": n, "layer": n}.

        Counts tensors that could be projected: more than one dimension, some gradient so far, projection not off.
        """
        views = [int(state["view"]) for state in self.state.values() if "view" in state]
        return {name: views.count(view) for name, view in VIEWS.items()}

    def _row_dims(self, param: Tensor, group: dict[str, Any]) -> RowDims:
        return row_dims(param, group)

    def _keep_views(self, params: Sequence[Tensor], views: Sequence[Tensor | None]) -> None:
        """Keeps each tensor's view for `projections` and the next step; None for what cannot be projected."""
        for param, view in zip(params, views, strict=True):
            if view is not None:
                self.state[param]["view"] = view


def descend(
    param: Tensor,
    weight: Tensor,
    update: Tensor,
    radial_: Radial | None,
    step_size: float | Tensor,
    shrink: float | Tensor,
) -> None:
    """Takes the step param <- weight (1 - shrink ratio) - step_size (update - multiple weight).

    weight: `param` in full precision.
    """
    scale = -shrink if radial_ is None else step_size * radial_.multiple - shrink * radial_.ratio
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
    radials_: Sequence[Radial | None],
    step_sizes: list[Any],
    shrink: float | Tensor,
) -> None:
    """Takes `descend` of many tensors of one device and dtype. Overwrites `updates`."""
    plain = [i for i, radial_ in enumerate(radials_) if radial_ is None]
    projected = [(i, radial_) for i, radial_ in enumerate(radials_) if radial_ is not None]
    torch._foreach_mul_(updates, [-s for s in step_sizes])
    if plain and isinstance(shrink, Tensor):
        shrinks = torch._foreach_mul([weights[i] for i in plain], shrink)  # pyright: ignore[reportArgumentType]
        torch._foreach_sub_([updates[i] for i in plain], shrinks)
    elif plain and shrink:
        torch._foreach_add_([updates[i] for i in plain], [weights[i] for i in plain], alpha=float(-shrink))
    if projected:
        multiples: list[Any] = [radial_.multiple for _, radial_ in projected]
        ratios: list[Any] = [radial_.ratio for _, radial_ in projected]
        scales = torch._foreach_mul(multiples, [step_sizes[i] for i, _ in projected])
        shrinks = torch._foreach_mul(ratios, shrink)
        torch._foreach_sub_(scales, shrinks)
        torch._foreach_addcmul_([updates[i] for i, _ in projected], [weights[i] for i, _ in projected], scales)
    torch._foreach_add_(params, updates)
