"""What the checks work with: a small problem, and an optimizer that is built and stepped as the suite does it."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import torch
from torch import Tensor

from optathlon.optimizers.spec import LR_SCALE, OptimizerSpec, load

STEPS = 5
"""How many steps a check takes, if its question needs no more."""

RATES = (3e-2, 1e-1, 1e-2, 3e-1, 3e-3, 1e-3, 1.0, 3e-4)


class Lacks(Exception):  # noqa: N818
    """Raised by a check where the optimizer cannot do what is asked, and says so."""


class Problem:
    """Regression on a teacher network: a weight that a normalization makes scale-invariant, then a head."""

    def __init__(self, kit: Kit, dtype: torch.dtype = torch.float32, device: str = "cpu") -> None:
        generator = torch.Generator().manual_seed(0)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator).to(device, dtype)

        self.inputs = normal(32, 6)
        teacher = {"weight": normal(8, 6), "head": normal(3, 8), "bias": normal(3)}
        self.params = {"weight": normal(8, 6), "head": normal(3, 8), "bias": normal(3)}
        if "matrices" in kit.spec.flags:
            del self.params["bias"], teacher["bias"]
        self.targets = self.predict(teacher)
        for param in self.params.values():
            param.requires_grad_()

    def predict(self, params: Mapping[str, Tensor]) -> Tensor:
        hidden = self.inputs @ params["weight"].T
        hidden = (hidden - hidden.mean(0)) / (hidden.var(0, correction=0) + 1e-5).sqrt()
        return hidden @ params["head"].T + params.get("bias", 0.0)

    def loss(self) -> Tensor:
        return (self.predict(self.params) - self.targets).square().mean()

    def values(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.params.values()]


class Kit:
    """An optimizer with resolved hyperparameters, to be built on problems."""

    def __init__(self, spec: OptimizerSpec, values: Mapping[str, Any]) -> None:
        self.spec = spec
        required = {key: 0.01 for key, h in spec.hyperparameters.items() if h.required}
        self.values = spec.resolve({**required, **values})

    def build(self, problem: Problem, lr: float | None = None, **more: Any) -> torch.optim.Optimizer:
        """Builds the optimizer on `problem`; its weight is in a group of its own, with the options by tag that
        scale-invariant weights have."""
        tagged = {k.partition(".")[2]: v for k, v in self.values.items() if k.startswith("scale_invariant.")}
        tagged.pop(LR_SCALE, None)
        rest = [p for name, p in problem.params.items() if name != "weight"]
        groups: list[dict[str, Any]] = [{"params": [problem.params["weight"]], **tagged}, {"params": rest}]
        if "one_group" in self.spec.flags:
            groups = [{"params": list(problem.params.values())}]
        return self.build_groups(groups, lr, **more)

    def build_groups(self, groups: list[dict[str, Any]], lr: float | None = None, **more: Any) -> torch.optim.Optimizer:
        values = self.values | ({"lr": lr} if lr is not None else {})
        return msgspec.structs.replace(self.spec, fixed=self.spec.fixed | more).build(groups, values)

    def step(self, optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> None:
        def closure() -> Tensor:
            with torch.enable_grad():
                optimizer.zero_grad()
                value = loss()
                value.backward()
            return value.detach()

        if "closure" in self.spec.flags:
            optimizer.step(closure)  # pyright: ignore[reportCallIssue, reportArgumentType]
        else:
            closure()
            optimizer.step()

    def trained(self, steps: int = STEPS, **options: Any) -> tuple[Problem, torch.optim.Optimizer]:
        problem = Problem(self, options.pop("dtype", torch.float32))
        optimizer = self.build(problem, **options)
        for _ in range(steps):
            self.step(optimizer, problem.loss)
        return problem, optimizer

    def accepts(self, argument: str) -> bool:
        return argument in inspect.signature(load(self.spec.factory)).parameters


class Unproven(AssertionError):  # noqa: N818
    """Raised by a check with a sentence on what is wrong; any other exception is the optimizer's own."""


def require(condition: bool, message: str) -> None:
    if not condition:
        raise Unproven(message)


def needs_rate(optimizer: torch.optim.Optimizer) -> None:
    """Raises Lacks unless every group has a rate that a schedule can scale."""
    if not all("lr" in group for group in optimizer.param_groups):
        raise Lacks("has no lr: schedule and warm-up change nothing")


def same(ours: list[Tensor], theirs: list[Tensor], message: str) -> None:
    require(all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)), message)


def descend(
    kit: Kit, optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor], steps: int, stop: float = -math.inf
) -> float:
    """Steps with rates that fall linearly to 0; returns the last loss, at once where it reaches `stop` or diverges."""
    rates = [(group, group["lr"]) for group in optimizer.param_groups if "lr" in group]
    for t in range(steps):
        for group, rate in rates:
            group["lr"] = rate * (1 - t / steps)
        kit.step(optimizer, loss)
        if t % 50 == 0 and not stop < (value := loss().item()) < math.inf:
            return value if value <= stop else math.inf
    return loss().item()
