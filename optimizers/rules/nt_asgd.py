"""SGD that turns into averaged SGD when validation stalls: what AWD-LSTM was trained with.

As one would write it on a board, per weight w with gradient g:

    w <- w - lr (g + weight_decay w)
    after each epoch: averaging from now on, if its score < max(scores of the epochs more than nonmono before it)
    while averaging, at the k-th step since:  a <- a + (w - a) / max(1, k - 1);   a is what is judged
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optathlon.optimizers.kernels.tensor_lists import zeros_like
from optathlon.optimizers.rules.argument_checks import check, check_lr
from optathlon.optimizers.rules.base_optimizer import BaseOptimizer


class NTASGD(BaseOptimizer):
    """Plain SGD; from the epoch on whose score is worse than the best of those more than `nonmono` epochs before it,
    the iterates are averaged, and `eval()` puts the average into the parameters until `train()` takes it out again.

    The average is that of torch.optim.ASGD with t0 = 0 and lambd = 0, which leaves out the first iterate. Scores are
    better when higher; an epoch without one is passed over.

    Source: Merity, Keskar and Socher, Regularizing and optimizing LSTM language models, ICLR 2018, Algorithm 1, with
    the trigger of its code, awd-lstm-lm's main.py.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float,
        weight_decay: float = 0.0,
        nonmono: int = 5,
        *,
        maximize: bool = False,
    ) -> None:
        check_lr(lr, False, True)
        check("weight_decay", weight_decay)
        check("nonmono", nonmono)
        options = {"lr": lr, "weight_decay": weight_decay, "nonmono": nonmono, "maximize": maximize}
        super().__init__(params, {**options, "scores": (), "averaging": False, "judged": False})

    def epoch_end(self, epoch: int, score: float | None = None) -> None:
        """To be called after each epoch with its validation score, the higher the better."""
        if score is None:
            return
        for group in self.param_groups:
            long_ago = group["scores"][: max(0, len(group["scores"]) - group["nonmono"])]
            if long_ago and score < max(long_ago):
                group["averaging"] = True
            group["scores"] = (*group["scores"], score)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        loss = self._closure_loss(closure)
        if any(group["judged"] for group in self.param_groups):
            raise RuntimeError("the parameters hold their averages: call train() before step()")
        for group in self.param_groups:
            for param, grad, weight, state in self._steps(group):
                if group["weight_decay"]:
                    grad = grad + group["weight_decay"] * weight
                param.sub_(grad * group["lr"])
                if group["averaging"]:
                    _average(param, state)
        return loss

    @torch.no_grad()
    def eval(self) -> None:
        """Puts the averages into the parameters, unless they are there already or nothing is averaged yet."""
        for group in self.param_groups:
            if not group["judged"]:
                for param, state in self._averaged(group):
                    state["trained"] = param.clone()
                    param.copy_(state["average"])
            group["judged"] = True

    @torch.no_grad()
    def train(self) -> None:
        """Puts the weights that are trained back into the parameters."""
        for group in self.param_groups:
            if group["judged"]:
                for param, state in self._averaged(group):
                    param.copy_(state.pop("trained"))
            group["judged"] = False

    def weights_loaded(self) -> None:
        """To be called after other weights were put into the model: an average that has begun begins anew from them."""
        for group in self.param_groups:
            group["judged"] = False
            for param in group["params"]:
                for key in ("average", "averaged", "trained"):
                    self.state[param].pop(key, None)

    def _averaged(self, group: dict[str, Any]) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        for original in group["params"]:
            if "average" in self.state[original]:
                yield (torch.view_as_real(original) if original.is_complex() else original), self.state[original]


def _average(param: Tensor, state: dict[str, Any]) -> None:
    if "average" not in state:
        state["averaged"], state["average"] = 0, zeros_like(param)
    state["averaged"] += 1
    share = 1.0 / max(1, state["averaged"] - 1)
    state["average"].add_(param - state["average"], alpha=share)
