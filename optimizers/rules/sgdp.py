"""SGDP: SGD with momentum whose step loses its radial part on scale-invariant weights."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT, _default_to_fused_or_foreach, _use_grad_for_differentiable

from optathlon.optimizers.kernels import cpu as kernels
from optathlon.optimizers.kernels import dispatch, sharded
from optathlon.optimizers.kernels.rule import Radial, Rule
from optathlon.optimizers.rules._base import (
    as_real,
    by_device_and_dtype,
    check,
    check_implementation,
    check_lr,
    full_precision,
    zeros_like,
)
from optathlon.optimizers.rules.projection import ProjectedOptimizer, descend, descend_many, radial, radials, row_dims


class SGDP(ProjectedOptimizer):
    """SGD with momentum, projected where the gradient is orthogonal to the weight, row by row or as a whole.

    The momentum starts at zero, so dampening also acts on the first step; the decay is decoupled and divided by
    (1 - momentum). project_buffer: without Nesterov momentum the projection also acts on the momentum itself, as
    clovaai/AdamP 0.3.0 does and Algorithm 1 does not. The other options are AdamP's.

    Source: Heo et al., AdamP, ICLR 2021, Algorithm 1; with project_buffer equal to clovaai/AdamP 0.3.0.
    """

    renamed = {"momentum": "momentum_buffer"}  # noqa: RUF012

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        eps: float = 1e-8,
        delta: float = 0.1,
        wd_ratio: float = 0.1,
        *,
        project_buffer: bool = False,
        projection: str = "auto",
        channel_dim: int = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr, foreach, capturable)
        check_implementation(foreach, fused, differentiable)
        check("momentum", momentum, high=1.0)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "eps": eps,
                "delta": delta,
                "wd_ratio": wd_ratio,
                "project_buffer": project_buffer,
                "projection": projection,
                "channel_dim": channel_dim,
                "foreach": foreach,
                "maximize": maximize,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        self._accelerator_graph_capture_health_check()
        loss = self._closure_loss(closure)
        for group in self.param_groups:
            params = self._with_grad(group)
            for param in params:
                if "momentum_buffer" not in self.state[param]:
                    self.state[param]["momentum_buffer"] = zeros_like(param)
            found = sgdp(
                params,
                [p.grad for p in params if p.grad is not None],
                [self.state[p]["momentum_buffer"] for p in params],
                [row_dims(p, group) for p in params],
                [self.state[p].get("view") for p in params],
                rule=Rule(group["delta"], group["eps"], group["projection"]),
                **{key: group[key] for key in _OPTIONS},
            )
            for param, view in zip(params, found, strict=True):
                if view is not None:
                    self.state[param]["view"] = view
        return loss


_OPTIONS = (
    "lr", "momentum", "dampening", "weight_decay", "nesterov", "wd_ratio", "project_buffer",
    "foreach", "maximize", "capturable", "differentiable", "fused",
)  # fmt: skip


def sgdp(
    params: list[Tensor],
    grads: list[Tensor],
    buffers: list[Tensor],
    dims: Sequence[tuple[int, ...] | None],
    views: Sequence[Tensor | None],
    *,
    lr: float | Tensor,
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
    **options: Any,
) -> list[Tensor | None]:
    """One SGDP step on lists of tensors, by torch's rules for which implementation runs; returns the view of each.

    views: those of the step before, None where there is none.
    """
    if foreach is None:
        _, foreach = _default_to_fused_or_foreach(params, differentiable, use_fused=False)
        foreach = foreach and not (isinstance(lr, Tensor) and not capturable)
    lists = (as_real(params), as_real(grads), as_real(buffers), dims, views)
    if foreach:
        plain = functools.partial(_multi_tensor_sgdp, lr=lr, **options)
    else:
        more = {"capturable": capturable or differentiable, "differentiable": differentiable}
        plain = functools.partial(_single_tensor_sgdp, lr=lr, **more, **options)
    if any(shards := sharded.shards(params, dims)):
        spread = functools.partial(_sharded_sgdp, lr=lr, **options)
        return dispatch.dispatch([([s is not None for s in shards], spread)], lists[:-1], plain)
    if not fused:
        return plain(*lists[:-1])
    choices = [
        (dispatch.takes_on_gpu(lists[0], lists[1], dims, lists[2]), functools.partial(_gpu_sgdp, lr=lr, **options)),
        (kernels.takes(lists[0], dims, lists[2]), functools.partial(_fused_sgdp, lr=lr, **options)),
    ]
    return dispatch.dispatch(choices, lists, lambda *some: plain(*some[:-1]))


def _sharded_sgdp(*lists: Any, **options: Any) -> list[Tensor | None]:
    params, grads, buffers = (sharded.local(each) for each in lists[:3])
    places = sharded.shards(lists[0], lists[3])
    return _multi_tensor_sgdp(params, grads, buffers, lists[3], places=places, **options)


def _gpu_sgdp(*lists: Any, **options: Any) -> list[Tensor | None]:
    from optathlon.optimizers.kernels import cuda

    return cuda.sgdp(*lists[:-1], **options)


def _fused_sgdp(*lists: Any, lr: float | Tensor, **options: Any) -> list[Tensor | None]:
    return kernels.sgdp(*lists, lr=float(lr), **options)


def _single_tensor_sgdp(
    params: list[Tensor],
    grads: list[Tensor],
    buffers: list[Tensor],
    dims: Sequence[tuple[int, ...] | None],
    *,
    rule: Rule,
    lr: float | Tensor,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    wd_ratio: float,
    project_buffer: bool,
    maximize: bool,
    capturable: bool,
    differentiable: bool,
) -> list[Tensor | None]:
    shrink = lr * weight_decay / (1 - momentum)
    views: list[Tensor | None] = []
    for param, raw, buffer, rows in zip(params, grads, buffers, dims, strict=True):
        (weight,), (grad,) = full_precision([param.clone() if differentiable else param], [-raw if maximize else raw])
        buffer.mul_(momentum).add_(grad, alpha=1 - dampening)
        update = grad + momentum * buffer if nesterov else buffer.clone() if differentiable else buffer

        found = radial(weight, grad, update, rows, rule, wd_ratio, capturable) if rows else None
        if found and project_buffer and not nesterov:
            buffer.sub_(found.part * weight)
            update, found = buffer, found._replace(part=0.0)
        descend(param, weight, update, found, lr, shrink)
        views.append(found.view if found else None)
    return views


def _multi_tensor_sgdp(
    params: list[Tensor],
    grads: list[Tensor],
    buffers: list[Tensor],
    dims: Sequence[tuple[int, ...] | None],
    *,
    rule: Rule,
    lr: float | Tensor,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    wd_ratio: float,
    project_buffer: bool,
    maximize: bool,
    places: Sequence[Any] | None = None,
) -> list[Tensor | None]:
    shrink = lr * weight_decay / (1 - momentum)
    views: list[Tensor | None] = [None] * len(params)
    for indices, (own, raw, momenta) in by_device_and_dtype(params, grads, buffers):
        weights, gradients = full_precision(own, torch._foreach_neg(raw) if maximize else raw)
        torch._foreach_mul_(momenta, momentum)
        torch._foreach_add_(momenta, gradients, alpha=1 - dampening)
        if nesterov:
            updates = list(torch._foreach_mul(momenta, momentum))
            torch._foreach_add_(updates, gradients)
        else:
            updates = [m.clone() for m in momenta]

        own_dims = [dims[i] for i in indices]
        if places is None:
            found = radials(weights, gradients, updates, own_dims, rule, wd_ratio)
        else:
            own_places = [places[i] for i in indices]
            found = sharded.radials(weights, gradients, updates, own_dims, own_places, rule, wd_ratio)
        if project_buffer and not nesterov:
            _project(momenta, weights, found)
        descend_many(own, weights, updates, found, [lr] * len(own), shrink)
        for i, radial_ in zip(indices, found, strict=True):
            views[i] = radial_.view if radial_ else None
    return views


def _project(buffers: list[Tensor], weights: list[Tensor], found: Sequence[Radial | None]) -> None:
    projected = [(b, w, f.part) for b, w, f in zip(buffers, weights, found, strict=True) if f is not None]
    if projected:
        own, on, parts = map(list, zip(*projected, strict=True))
        torch._foreach_addcmul_(own, on, parts, -1.0)
