"""The checks that an optimizer descends: on a small regression, and along the bend of Rosenbrock's valley."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from optathlon.optimizers.conformance.problems import RATES, Kit, Lacks, Problem, descend, require


def descends_a_small_regression(kit: Kit) -> None:
    """To a tenth of its loss, at one of RATES, decayed linearly."""

    def attempt(lr: float) -> bool:
        problem = Problem(kit)
        start = problem.loss().item()
        return descend(kit, kit.build(problem, lr), problem.loss, 300) < 0.1 * start

    _at_some_rate(kit, attempt)


def descends_rosenbrock(kit: Kit) -> None:
    """((1 - a)^2 + 100 (b - a^2)^2) / 100 from (-1.2, 1), where it is 0.24, past the bend of the valley to 0.01."""

    def attempt(lr: float) -> bool:
        point = torch.tensor([[-1.2, 1.0]], dtype=torch.float64, requires_grad=True)

        def loss() -> Tensor:
            a, b = point.unbind(1)
            return ((1 - a) ** 2 / 100 + (b - a**2) ** 2).sum()

        return descend(kit, kit.build_groups([{"params": [point]}], lr), loss, 2000, stop=0.01) < 0.01

    _at_some_rate(kit, attempt)


def _at_some_rate(kit: Kit, attempt: Callable[[float], bool]) -> None:
    if "lr" not in kit.spec.hyperparameters and not attempt(RATES[0]):
        raise Lacks("not with the hyperparameters given, and it has no lr of which others could be tried")
    require("lr" not in kit.spec.hyperparameters or any(map(attempt, RATES)), f"at no rate of {sorted(RATES)}")
