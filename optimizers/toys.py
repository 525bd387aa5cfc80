"""Computes what the papers' figures of toy problems plot."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import torch
from torch import Tensor

from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.adarem import AdaRem
from optathlon.optimizers.rules.grassmann import SGDG, AdamG
from optathlon.optimizers.rules.sgdp import SGDP

Build = Callable[[list[Tensor]], torch.optim.Optimizer]
SEARCHED = tuple(10 ** (-3 + 2 * i / 20) for i in range(21))
"""Rates from 0.001 to 0.1, the range in which the paper searched (AdamP, appendix B)."""
SEARCHED_HIGHER = tuple(10 * lr for lr in SEARCHED)
"""Rates from 0.01 to 1: Adam-G's best ones lie beyond the paper's range."""


class Path(msgspec.Struct, frozen=True):
    """Where one optimizer was before each step and after the last."""

    label: str
    lr: float
    """The rate of the first step."""
    points: list[tuple[float, float]]
    """In the figure's coordinates: (x, y) of a weight in two dimensions, the Rosenbrock function's (a, b) in three."""
    losses: list[float]
    norms: list[float]
    """Of the weight."""


def cosine(label: str, build: Build, steps: int = 500) -> Path:
    """Down (1 - cos(w, w*))^2 from w = (0.001, 1), almost the opposite of w* = (0, -1).

    Source: AdamP, Figure 1 and appendix B; the square and lr = 0.01 are what the project page's videos show.
    """

    def look(weight: Tensor) -> tuple[Tensor, tuple[float, float]]:
        x, y = weight[0]
        return (1 + y / weight.norm()) ** 2, (x.item(), y.item())

    return _walk(label, [0.001, 1.0], build, look, steps)


def rosenbrock(label: str, build: Build, steps: int = 200) -> Path:
    """Down (1 - a)^2 + 300 (b - a^2)^2 on the sphere, a and b the angles of w times 1.5, from (-2, 2) at |w| = 1.

    The gradient is scaled to unit length and the rate falls linearly to 0.

    Source: AdamP, Figure 3, section 3.2 and appendix B; the unit gradient is what the project page's figures show.
    """
    psi, phi = -2 / 1.5, 2 / 1.5
    start = [math.cos(phi) * math.sin(psi), math.sin(phi), math.cos(phi) * math.cos(psi)]

    def look(weight: Tensor) -> tuple[Tensor, tuple[float, float]]:
        x, y, z = weight[0]
        a, b = 1.5 * torch.atan2(x, z), 1.5 * torch.asin(y / weight.norm())
        return (1 - a) ** 2 + 300 * (b - a**2) ** 2, (a.item(), b.item())

    return _walk(label, start, build, look, steps, unit_gradient=True, decay=True)


def _walk(
    label: str,
    start: list[float],
    build: Build,
    look: Callable[[Tensor], tuple[Tensor, tuple[float, float]]],
    steps: int,
    *,
    unit_gradient: bool = False,
    decay: bool = False,
) -> Path:
    weight = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    optimizer = build([weight])
    (group,) = optimizer.param_groups
    lr = group["lr"]
    points, losses, norms = [], [], []
    for t in range(steps + 1):
        weight.grad = None
        loss, point = look(weight)
        points.append(point)
        losses.append(loss.item())
        norms.append(weight.norm().item())
        if t == steps:
            break
        loss.backward()
        if unit_gradient and weight.grad is not None:
            weight.grad /= weight.grad.norm()
        if decay:
            group["lr"] = lr * (1 - t / steps)
        optimizer.step()
    return Path(label, lr, points, losses, norms)


def best(label: str, build: Callable[[float], Build], rates: tuple[float, ...] = SEARCHED) -> Path:
    """Returns the `rosenbrock` path of the rate whose last loss is the lowest."""
    return min((rosenbrock(label, build(lr)) for lr in rates), key=lambda path: path.losses[-1])


def figure_1(momentum: float = 0.9) -> list[Path]:
    """AdamP, Figure 1: gradient descent, with momentum, and with momentum projected, in two dimensions."""
    return [
        cosine("GD", lambda ps: torch.optim.SGD(ps, lr=0.01)),
        cosine("GD + momentum", lambda ps: torch.optim.SGD(ps, lr=0.01, momentum=momentum)),
        cosine("SGDP", lambda ps: SGDP(ps, lr=0.01, momentum=momentum)),
    ]


def figure_3() -> list[Path]:
    """AdamP, Figure 3: momentum, with weight decay, and projected as the released code does, in three dimensions."""
    return [
        rosenbrock("GD + momentum", lambda ps: torch.optim.SGD(ps, lr=0.05488, momentum=0.9)),
        rosenbrock("with decay", lambda ps: torch.optim.SGD(ps, lr=0.0704, momentum=0.9, weight_decay=0.05)),
        rosenbrock("SGDP", lambda ps: SGDP(ps, lr=0.04385, momentum=0.9, project_buffer=True)),
    ]


def figure_h1() -> list[Path]:
    """AdamP, Figure H.1: the Adam family with Figure 3's decay, each at its best rate of SEARCHED (unpublished)."""
    return [
        best("Adam", lambda lr: lambda ps: torch.optim.Adam(ps, lr=lr)),
        best("with decay", lambda lr: lambda ps: torch.optim.Adam(ps, lr=lr, weight_decay=0.05)),
        best("AdamP", lambda lr: lambda ps: AdamP(ps, lr=lr)),
    ]


def figure_g1() -> list[Path]:
    """AdamP, Figure G.1: SGD-G with and without clipping at 0.1 beside SGDP, each at its best rate of SEARCHED."""
    return [
        best("SGDG", lambda lr: lambda ps: SGDG(ps, lr=lr, manifold=True, omega=0.0, clip=0.1)),
        best("SGDG, no clipping", lambda lr: lambda ps: SGDG(ps, lr=lr, manifold=True, omega=0.0, clip=0.0)),
        best("SGDP", lambda lr: lambda ps: SGDP(ps, lr=lr, momentum=0.9)),
    ]


def figure_g2() -> list[Path]:
    """AdamP, Figure G.2: Adam-G with and without clipping at 0.1 beside AdamP, each at its best of SEARCHED_HIGHER."""
    return [
        best("AdamG", lambda lr: lambda ps: AdamG(ps, lr=lr, manifold=True, omega=0.0, clip=0.1), SEARCHED_HIGHER),
        best(
            "AdamG, no clipping",
            lambda lr: lambda ps: AdamG(ps, lr=lr, manifold=True, omega=0.0, clip=0.0),
            SEARCHED_HIGHER,
        ),
        best("AdamP", lambda lr: lambda ps: AdamP(ps, lr=lr), SEARCHED_HIGHER),
    ]


FIGURES: dict[str, Callable[[], list[Path]]] = {
    "1": figure_1,
    "3": figure_3,
    "H.1": figure_h1,
    "G.1": figure_g1,
    "G.2": figure_g2,
}


def growth_ratio(momentum: float, steps: int = 400, lr: float = 0.1) -> float:
    """(|w_T|^2 - |w_0|^2) / (lr^2 sum |p_t|^2) of momentum SGD on a scale-invariant loss.

    p_t is the step without its rate; the limit is 1 + 2 momentum / (1 - momentum), 19 for 0.9.

    Source: AdamP, Corollary 2.3.
    """
    matrix = torch.diag(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))
    weight = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64, requires_grad=True)
    sgd = torch.optim.SGD([weight], lr=lr, momentum=momentum)
    start, squares = weight.norm().item() ** 2, 0.0
    for _ in range(steps):
        before = weight.detach().clone()
        sgd.zero_grad()
        ((weight @ matrix @ weight) / (weight @ weight)).backward()
        sgd.step()
        squares += ((weight.detach() - before) / lr).norm().item() ** 2
    return (weight.norm().item() ** 2 - start) / (lr**2 * squares)


def adarem_regret(horizon: int = 4096, dimensions: int = 64, seed: int = 0) -> list[tuple[int, float]]:
    """(T, regret after T rounds) of AdaRem at T = 2, 4, 8, ... on random linear losses over the cube [-1, 1]^d.

    Rates 1 / sqrt(t), lam once a round, projection onto the cube: then the regret is O(sqrt(T)).

    Source: AdaRem, Theorem 1.
    """
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (horizon, dimensions), generator=generator, dtype=torch.float64) * 2 - 1
    theta = torch.zeros(dimensions, dtype=torch.float64)
    adarem = AdaRem([theta], lr=1.0, beta=0.9)
    played, regrets, total = 0.0, [], torch.zeros(dimensions, dtype=torch.float64)
    for t, loss in enumerate(signs, start=1):
        played += (loss @ theta).item()
        total += loss
        adarem.param_groups[0]["lr"] = 1 / math.sqrt(t)
        theta.grad = loss
        adarem.step()
        adarem.epoch_end(t - 1)
        theta.clamp_(-1, 1)
        if t > 1 and t & (t - 1) == 0:
            regrets.append((t, played + total.abs().sum().item()))
    return regrets
