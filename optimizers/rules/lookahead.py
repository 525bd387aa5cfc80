"""Lookahead: slow weights that go, every k steps, part of the way to those of a fast optimizer.

As one would write it on a board, for a weight w and its slow copy s:

    w <- the fast optimizer's step
    every k steps:  s <- s + alpha (w - s);   w <- s
    s is what is judged
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optathlon.optimizers.kernels.tensor_lists import state_dtype
from optathlon.optimizers.rules.argument_checks import check
from optathlon.optimizers.rules.mixin import Mixin, bare_step


class SlowWeights(Mixin):
    """Gives another optimizer's class slow weights: class LookaheadAdamW(SlowWeights, torch.optim.AdamW).

    After every k of its steps the slow weights go `alpha` of the way to the fast ones, which start again from there;
    the other class's own state goes on. `eval` puts the slow weights into the model, which are those to be judged,
    `train` the fast ones back.

    Source: Zhang et al., Lookahead Optimizer: k steps forward, 1 step back, NeurIPS 2019, Algorithm 1.
    """

    checked_options = frozenset({"k", "alpha"})

    def __init__(self, params: ParamsT, *arguments: Any, k: int = 5, alpha: float = 0.5, **options: Any) -> None:
        super().__init__(params, *arguments, **options)
        self._adopt({"k": k, "alpha": alpha, "since": 0, "judged": False})

    def _check_group(self, group: dict[str, Any]) -> None:
        check("k", group["k"], low=1)
        if not 0.0 < group["alpha"] <= 1.0:
            raise ValueError(f"Invalid alpha: {group['alpha']} (must be above 0 and at most 1)")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave; the slow weights keep their precision."""
        super().load_state_dict(state_dict)
        saved_ids = [i for group in state_dict["param_groups"] for i in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        for param, i in zip(params, saved_ids, strict=True):
            for key in {"slow", "fast"} & state_dict["state"].get(i, {}).keys():
                saved = state_dict["state"][i][key]
                self.state[param][key] = saved.to(device=param.device, copy=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        if any(group["judged"] for group in self.param_groups):
            raise RuntimeError(f"{type(self).__name__} holds its slow weights: call train() before step()")
        # A slow weight starts where its fast one was before its first step, and only if there is one.
        starts = {p: _slow(p) for p in self._weights() if p.requires_grad and "slow" not in self.state.get(p, {})}
        loss = bare_step(super().step, closure)
        for param, slow in starts.items():
            if param.grad is not None:
                self.state[param]["slow"] = slow
        for group in self.param_groups:
            group["since"] = (group["since"] + 1) % group["k"]
            if group["since"] == 0:
                for param, slow in self._slow_weights(group):
                    if param.requires_grad:
                        slow.lerp_(param.to(slow.dtype), group["alpha"])
                        param.copy_(slow)
        return loss

    @torch.no_grad()
    def eval(self) -> None:
        """Puts the slow weights into the model."""
        for group in self.param_groups:
            for param, slow in () if group["judged"] else self._slow_weights(group):
                self.state[param]["fast"] = param.clone()
                param.copy_(slow)
            group["judged"] = True

    @torch.no_grad()
    def train(self) -> None:
        """Puts the fast weights back into the model, bit for bit."""
        for group in self.param_groups:
            for param, _ in self._slow_weights(group) if group["judged"] else ():
                param.copy_(self.state[param].pop("fast"))
            group["judged"] = False

    @torch.no_grad()
    def weights_loaded(self) -> None:
        """To be called after other weights were put into the model: the slow ones go on from there as well."""
        for group in self.param_groups:
            group["since"], group["judged"] = 0, False
            for param, slow in self._slow_weights(group):
                slow.copy_(param)
                self.state[param].pop("fast", None)

    def _weights(self) -> list[Tensor]:
        return [param for group in self.param_groups for param in group["params"]]

    def _slow_weights(self, group: dict[str, Any]) -> Iterator[tuple[Tensor, Tensor]]:
        for param in group["params"]:
            if "slow" in self.state.get(param, {}):
                yield param, self.state[param]["slow"]


def _slow(param: Tensor) -> Tensor:
    return param.detach().to(state_dtype(param), copy=True)


class Lookahead(SlowWeights, torch.optim.SGD):
    """SGD with momentum and coupled L2 decay, and slow weights, as the paper trains image classifiers with."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        k: int = 5,
        alpha: float = 0.5,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, momentum, dampening, weight_decay, nesterov,
            maximize=maximize, foreach=foreach, fused=fused, k=k, alpha=alpha,
        )  # fmt: skip
