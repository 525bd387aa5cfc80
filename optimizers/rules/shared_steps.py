"""Steps that several rules take on some of their weights, on one tensor and on many: Nesterov's and Adam's.

As one would write them on a board, per weight w with gradient g:

    Nesterov                             Adam, at step t
    g <- g + weight_decay w              m <- beta1 m + (1 - beta1) g
    b <- momentum b + g                  v <- beta2 v + (1 - beta2) g^2
    w <- w - lr (g + momentum b)         change = lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from optathlon.optimizers.kernels.assignment import Implementation, plain
from optathlon.optimizers.kernels.tensor_lists import by_device_and_dtype, increment, numbers_or_tensors, zeros_like
from optathlon.optimizers.rules.base_optimizer import Step, new_step


def together(steps: Sequence[Step], group: dict[str, Any]) -> bool:
    """Whether the group's tensors are stepped by foreach operators: as asked for, else by torch's rule."""
    return plain([step.param for step in steps], group["lr"], group["foreach"]) is Implementation.FOREACH


def alike(steps: Sequence[Step]) -> Iterator[tuple[list[Any], ...]]:
    """Yields parameters, gradients, weights and states of the steps, as lists of one device and dtype each."""
    for indices, _ in by_device_and_dtype([step.param for step in steps]):
        yield tuple(map(list, zip(*(steps[i] for i in indices), strict=True)))


def by_shape(steps: Sequence[Step]) -> list[list[Step]]:
    """Cuts the steps into lists whose weights have one shape, as matrices, and one device and dtype."""
    alike_steps: dict[Any, list[Step]] = {}
    for step in steps:
        param = step.param
        kind = (param.shape[0], param.numel(), param.device, param.dtype, step.weight.dtype)
        alike_steps.setdefault(kind, []).append(step)
    return list(alike_steps.values())


def nesterov_step(step: Step, group: dict[str, Any]) -> None:
    """Takes a step of torch's SGD with Nesterov momentum and coupled decay, on one tensor."""
    param, grad, weight, state = step
    if "momentum_buffer" not in state:
        state["momentum_buffer"] = zeros_like(param)
    if group["weight_decay"]:
        grad = grad.add(weight, alpha=group["weight_decay"])
    buffer = state["momentum_buffer"].mul_(group["momentum"]).add_(grad)
    param.sub_((grad + group["momentum"] * buffer) * group["lr"])


def nesterov_steps(steps: Sequence[Step], group: dict[str, Any]) -> None:
    """Takes `nesterov_step` on many tensors."""
    for params, grads, weights, states in alike(steps):
        for param, state in zip(params, states, strict=True):
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = zeros_like(param)
        buffers = [state["momentum_buffer"] for state in states]
        if group["weight_decay"]:
            grads = torch._foreach_add(grads, weights, alpha=group["weight_decay"])
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, grads)
        changes = list(torch._foreach_mul(buffers, group["momentum"]))
        torch._foreach_add_(changes, grads)
        torch._foreach_mul_(changes, group["lr"])
        torch._foreach_sub_(params, changes)


def adam_change(
    param: Tensor, grad: Tensor, state: dict[str, Any], lr: Any, betas: tuple[float, float], eps: float
) -> Tensor:
    """Returns what a step of Adam takes from a weight, decay aside."""
    _start_adam(param, state)
    beta1, beta2 = betas
    state["step"] += 1
    t = state["step"].item()
    mean = state["exp_avg"].lerp_(grad, 1 - beta1)
    second = state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    denominator = second.sqrt() / (1 - beta2**t) ** 0.5 + eps
    return mean / denominator * (lr / (1 - beta1**t))


def adam_changes(
    params: list[Tensor],
    grads: list[Tensor],
    states: list[dict[str, Any]],
    lr: Any,
    betas: tuple[float, float],
    eps: float,
) -> list[Tensor]:
    """Returns `adam_change` of many tensors of one device and dtype, as new tensors."""
    for param, state in zip(params, states, strict=True):
        _start_adam(param, state)
    beta1, beta2 = betas
    increment([state["step"] for state in states])
    ts = [state["step"].item() for state in states]
    means, seconds = [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states]
    torch._foreach_lerp_(means, grads, 1 - beta1)
    torch._foreach_mul_(seconds, beta2)
    torch._foreach_addcmul_(seconds, grads, grads, 1 - beta2)
    denominators = list(torch._foreach_sqrt(seconds))
    torch._foreach_div_(denominators, [(1 - beta2**t) ** 0.5 for t in ts])
    torch._foreach_add_(denominators, eps)
    changes = list(torch._foreach_div(means, denominators))
    torch._foreach_mul_(changes, numbers_or_tensors([lr / (1 - beta1**t) for t in ts]))
    return changes


def _start_adam(param: Tensor, state: dict[str, Any]) -> None:
    if "exp_avg" not in state:
        state["step"] = new_step(param, on_device=False)
        state["exp_avg"], state["exp_avg_sq"] = zeros_like(param), zeros_like(param)
