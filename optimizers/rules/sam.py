"""SAM: the gradient is taken where, nearby, the loss is largest; then another rule steps.

As one would write it on a board, for all weights w with loss L:

    g <- gradient of L at w
    e <- rho g / |g|                             # adaptive: rho w^2 g / |w g|, coordinate by coordinate
    w <- the other rule's step at w, with the gradient of L at w + e
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optathlon.optimizers.kernels.tensor_lists import norm_in_double, state_dtype
from optathlon.optimizers.rules.argument_checks import check
from optathlon.optimizers.rules.mixin import Mixin, bare_step


class Sharpness(Mixin):
    """Makes of another optimizer's class its sharpness-aware one: class SAMAdamW(Sharpness, torch.optim.AdamW).

    Each step evaluates the closure twice: at the weights, and rho uphill of them along the gradient of all groups
    together, from where they return bit for bit before the other class steps on the second gradient.

    rho: how far uphill, in the norm of all weights.
    adaptive: as ASAM, each coordinate's way scaled by the square of its weight.

    Source: Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR 2021, Algorithm 1;
    Kwon et al., ASAM, ICML 2021.
    """

    checked_options = frozenset({"rho"})

    def __init__(
        self, params: ParamsT, *arguments: Any, rho: float = 0.05, adaptive: bool = False, **options: Any
    ) -> None:
        super().__init__(params, *arguments, **options)
        self._adopt({"rho": rho, "adaptive": adaptive})

    def _check_group(self, group: dict[str, Any]) -> None:
        check("rho", group["rho"])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; `closure` computes loss and gradients anew at each call. Returns the loss at the weights."""
        if closure is None:
            raise RuntimeError(f"{type(self).__name__} needs a closure: it evaluates the loss twice a step")
        with torch.enable_grad():
            loss = closure()
        before = [(param, param.clone()) for _, param, _ in self._gradients()]
        self._climb()
        try:
            with torch.enable_grad():
                closure()
        finally:
            for param, weight in before:
                param.copy_(weight)
        bare_step(super().step)
        return loss

    def _climb(self) -> None:
        """Moves the weights rho uphill, in the norm of all of them."""
        uphill = [(group, param, _scaled(param, grad, group)) for group, param, grad in self._gradients()]
        if not uphill:
            return
        device = uphill[0][2].device
        norms = [norm_in_double(direction).to(device) for _, _, direction in uphill]
        norm = torch.linalg.vector_norm(torch.stack(norms)) + 1e-12
        for group, param, direction in uphill:
            if group["adaptive"]:
                direction = direction * param.abs()
            length = (group["rho"] / norm).to(direction.device, direction.real.dtype)
            param.copy_(param + (-length if group.get("maximize") else length) * direction)

    def _gradients(self) -> Iterator[tuple[dict[str, Any], Tensor, Tensor]]:
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    if param.grad.is_sparse:
                        raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")
                    yield group, param, param.grad


def _scaled(param: Tensor, grad: Tensor, group: dict[str, Any]) -> Tensor:
    """Returns the gradient in at least float32, times the weight's size where the neighborhood is adaptive."""
    grad = grad.to(state_dtype(param))
    return param.abs() * grad if group["adaptive"] else grad


class SAM(Sharpness, torch.optim.SGD):
    """Sharpness-aware SGD with momentum and coupled L2 decay, as the paper trains with."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        rho: float = 0.05,
        adaptive: bool = False,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, momentum, dampening, weight_decay, nesterov,
            maximize=maximize, foreach=foreach, fused=fused, rho=rho, adaptive=adaptive,
        )  # fmt: skip
