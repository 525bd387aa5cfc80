"""Adam, then SGD: the mixture with which music taggers are trained.

As one would write it on a board, per weight w with gradient g, in epoch e:

    g <- g + weight_decay w
    if e < switch:   w <- w - Adam's change of g at lr, betas, eps        # rules/shared_steps.py
    else:            b <- momentum b + g;  w <- w - lr (g + momentum b)
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT

from optathlon.optimizers.rules.argument_checks import check, check_lr
from optathlon.optimizers.rules.base_optimizer import BaseOptimizer, Step
from optathlon.optimizers.rules.shared_steps import (
    adam_change,
    adam_changes,
    alike,
    nesterov_step,
    nesterov_steps,
    together,
)


class AdamSGD(BaseOptimizer):
    """Adam for the first `switch` epochs, from then on SGD with Nesterov momentum; both with coupled L2 decay.

    The rates of the phases are the schedule's, relative to Adam's lr; that the best weights so far are reloaded at each
    change of phase is the protocol's (restore_best_at). Adam's state is dropped at the switch.

    Source: Won et al., Data-driven harmonic filters for audio representation learning, ICASSP 2020, and its code.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        switch: int = 60,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_lr(lr, False, True)
        for i, beta in enumerate(betas):
            check(f"beta parameter at index {i}", beta, high=1.0)
        for name, value in (("eps", eps), ("weight_decay", weight_decay), ("switch", switch)):
            check(name, value)
        check("momentum", momentum, high=1.0)
        options = {"betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum": momentum, "switch": switch}
        super().__init__(params, {"lr": lr, **options, "foreach": foreach, "maximize": maximize, "epoch": 0})

    def epoch_end(self, epoch: int, score: float | None = None) -> None:
        """To be called after each epoch, counted from 0."""
        for group in self.param_groups:
            group["epoch"] = epoch + 1

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        loss = self._closure_loss(closure)
        for group in self.param_groups:
            steps = list(self._steps(group))
            adam = group["epoch"] < group["switch"]
            if not adam:
                for step in steps:
                    for key in ("step", "exp_avg", "exp_avg_sq"):
                        step.state.pop(key, None)
            if together(steps, group):
                func = _adam_steps if adam else nesterov_steps
                func(steps, group)
            else:
                func = _adam_step if adam else nesterov_step
                for step in steps:
                    func(step, group)
        return loss


def _adam_step(step: Step, group: dict[str, Any]) -> None:
    param, grad, weight, state = step
    if group["weight_decay"]:
        grad = grad.add(weight, alpha=group["weight_decay"])
    param.sub_(adam_change(param, grad, state, group["lr"], group["betas"], group["eps"]))


def _adam_steps(steps: list[Step], group: dict[str, Any]) -> None:
    """`_adam_step` of many tensors."""
    for params, grads, weights, states in alike(steps):
        if group["weight_decay"]:
            grads = list(torch._foreach_add(grads, weights, alpha=group["weight_decay"]))
        torch._foreach_sub_(params, adam_changes(params, grads, states, group["lr"], group["betas"], group["eps"]))
