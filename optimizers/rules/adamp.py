"""AdamP: AdamW whose step loses its radial part on scale-invariant weights."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import (
    ParamsT,
    _default_to_fused_or_foreach,
    _use_grad_for_differentiable,
)

from optathlon.optimizers.kernels import cpu as kernels
from optathlon.optimizers.kernels import dispatch, sharded
from optathlon.optimizers.kernels.rule import Rule
from optathlon.optimizers.rules._base import (
    as_real,
    by_device_and_dtype,
    check,
    check_implementation,
    check_lr,
    full_precision,
    increment,
    new_step,
    zeros_like,
)
from optathlon.optimizers.rules.projection import ProjectedOptimizer, descend, descend_many, radial, radials, row_dims


class AdamP(ProjectedOptimizer):
    """AdamW, projected where the gradient is orthogonal to the weight, row by row or as a whole.

    delta: how orthogonal: |cosine| below delta / sqrt(length of the row).
    wd_ratio: factor on the decay where projected.
    projection: "auto" tests by channel, then by layer; "channel" or "layer" only so; "off" never.
    channel_dim: dimension of a weight's output channels; 1 for transposed convolutions.

    Source: Heo et al., AdamP, ICLR 2021, Algorithm 2; equal to clovaai/AdamP 0.3.0.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        delta: float = 0.1,
        wd_ratio: float = 0.1,
        nesterov: bool = False,
        *,
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
        for i, beta in enumerate(betas):
            check(f"beta parameter at index {i}", beta, high=1.0)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "delta": delta,
                "wd_ratio": wd_ratio,
                "nesterov": nesterov,
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
            states = [self._state(p, group) for p in params]
            found = adamp(
                params,
                [p.grad for p in params if p.grad is not None],
                [s["exp_avg"] for s in states],
                [s["exp_avg_sq"] for s in states],
                [s["step"] for s in states],
                [row_dims(p, group) for p in params],
                [s.get("view") for s in states],
                rule=Rule(group["delta"], group["eps"], group["projection"]),
                **{key: group[key] for key in _OPTIONS},
            )
            for state, view in zip(states, found, strict=True):
                if view is not None:
                    state["view"] = view
        return loss

    def _state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = self.state[param]
        if "exp_avg" not in state:
            state["step"] = new_step(param, on_device=group["capturable"])
            state["exp_avg"] = zeros_like(param)
            state["exp_avg_sq"] = zeros_like(param)
        return state


_OPTIONS = (
    "lr", "betas", "eps", "weight_decay", "wd_ratio", "nesterov",
    "foreach", "maximize", "capturable", "differentiable", "fused",
)  # fmt: skip


def adamp(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    steps: list[Tensor],
    dims: Sequence[tuple[int, ...] | None],
    views: Sequence[Tensor | None],
    *,
    rule: Rule,
    lr: float | Tensor,
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
    **options: Any,
) -> list[Tensor | None]:
    """One AdamP step on lists of tensors, by torch's rules for which implementation runs; returns the view of each.

    views: those of the step before, None where there is none.
    """
    if foreach is None:
        _, foreach = _default_to_fused_or_foreach(params, differentiable, use_fused=False)
        foreach = foreach and not (isinstance(lr, Tensor) and not capturable)
    lists = (as_real(params), as_real(grads), as_real(exp_avgs), as_real(exp_avg_sqs), steps, dims, views)
    options |= {"rule": rule, "lr": lr}
    if foreach:
        plain = functools.partial(_multi_tensor_adamp, capturable=capturable, **options)
    else:
        more = {"capturable": capturable or differentiable, "differentiable": differentiable}
        plain = functools.partial(_single_tensor_adamp, **more, **options)
    if any(shards := sharded.shards(params, dims)):
        spread = functools.partial(_sharded_adamp, capturable=capturable, **options)
        return dispatch.dispatch([([s is not None for s in shards], spread)], lists[:-1], plain)
    if not fused:
        return plain(*lists[:-1])
    choices = [
        (dispatch.takes_on_gpu(lists[0], lists[1], dims, lists[2], lists[3]), functools.partial(_gpu_adamp, **options)),
        (kernels.takes(lists[0], dims, lists[2], lists[3]), functools.partial(_fused_adamp, **options)),
    ]
    return dispatch.dispatch(choices, lists, lambda *some: plain(*some[:-1]))


def _sharded_adamp(*lists: Any, **options: Any) -> list[Tensor | None]:
    params, grads, exp_avgs, exp_avg_sqs = (sharded.local(each) for each in lists[:4])
    places = sharded.shards(lists[0], lists[5])
    return _multi_tensor_adamp(params, grads, exp_avgs, exp_avg_sqs, *lists[4:], places=places, **options)


def _gpu_adamp(*lists: Any, **options: Any) -> list[Tensor | None]:
    from optathlon.optimizers.kernels import cuda

    increment(lists[4])
    return cuda.adamp(*lists[:-1], **options)


def _fused_adamp(*lists: Any, lr: float | Tensor, **options: Any) -> list[Tensor | None]:
    params, grads, exp_avgs, exp_avg_sqs, steps, dims, views = lists
    increment(steps)
    counts = [s.item() for s in steps]
    return kernels.adamp(params, grads, exp_avgs, exp_avg_sqs, counts, dims, views, lr=float(lr), **options)


def _single_tensor_adamp(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    steps: list[Tensor],
    dims: Sequence[tuple[int, ...] | None],
    *,
    rule: Rule,
    lr: float | Tensor,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    wd_ratio: float,
    nesterov: bool,
    maximize: bool,
    capturable: bool,
    differentiable: bool,
) -> list[Tensor | None]:
    beta1, beta2 = betas
    views: list[Tensor | None] = []
    tensors = zip(params, grads, exp_avgs, exp_avg_sqs, steps, dims, strict=True)
    for param, raw, exp_avg, exp_avg_sq, step, rows in tensors:
        (weight,), (grad,) = full_precision([param.clone() if differentiable else param], [-raw if maximize else raw])
        step += 1
        t = step if capturable else step.item()
        exp_avg.lerp_(grad, 1 - beta1)
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        correction = (1 - beta2**t) ** 0.5
        momentum = beta1 * exp_avg + (1 - beta1) * grad if nesterov else exp_avg
        update = momentum / (exp_avg_sq.sqrt() + eps * correction)  # of the paper's, 1 / correction

        found = radial(weight, grad, update, rows, rule, wd_ratio, capturable) if rows else None
        descend(param, weight, update, found, lr * correction / (1 - beta1**t), lr * weight_decay)
        views.append(found.view if found else None)
    return views


def _multi_tensor_adamp(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    steps: list[Tensor],
    dims: Sequence[tuple[int, ...] | None],
    *,
    rule: Rule,
    lr: float | Tensor,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    wd_ratio: float,
    nesterov: bool,
    maximize: bool,
    capturable: bool,
    places: Sequence[Any] | None = None,
) -> list[Tensor | None]:
    beta1, beta2 = betas
    views: list[Tensor | None] = [None] * len(params)
    for indices, parts in by_device_and_dtype(params, grads, exp_avgs, exp_avg_sqs, steps):
        own, raw, avgs, avg_sqs, counters = parts
        weights, gradients = full_precision(own, torch._foreach_neg(raw) if maximize else raw)
        increment(counters)
        ts: list[Any] = list(counters) if capturable else [c.item() for c in counters]
        torch._foreach_lerp_(avgs, gradients, 1 - beta1)
        torch._foreach_mul_(avg_sqs, beta2)
        torch._foreach_addcmul_(avg_sqs, gradients, gradients, 1 - beta2)

        denominators = list(torch._foreach_sqrt(avg_sqs))
        corrections: list[Any] = [(1 - beta2**t) ** 0.5 for t in ts]
        torch._foreach_add_(denominators, [eps * c for c in corrections])
        momenta = avgs
        if nesterov:
            momenta = list(torch._foreach_mul(avgs, beta1))
            torch._foreach_add_(momenta, gradients, alpha=1 - beta1)
        updates = list(torch._foreach_div(momenta, denominators))

        own_dims = [dims[i] for i in indices]
        if places is None:
            found = radials(weights, gradients, updates, own_dims, rule, wd_ratio)
        else:
            own_places = [places[i] for i in indices]
            found = sharded.radials(weights, gradients, updates, own_dims, own_places, rule, wd_ratio)
        sizes = [lr * c / (1 - beta1**t) for c, t in zip(corrections, ts, strict=True)]
        descend_many(own, weights, updates, found, sizes, lr * weight_decay)
        for i, radial_ in zip(indices, found, strict=True):
            views[i] = radial_.view if radial_ else None
    return views
