"""What a step is given, per rule, for every implementation alike: the tensors, in lists with one entry per tensor, and
the hyperparameters of their group."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from optathlon.optimizers.kernels.scale_invariance import ScaleInvariance

RowDims = tuple[int, ...] | None
"""The dimensions that make a row of a weight, all but the channel's; None if the weight is never projected."""


class AdamPState(NamedTuple):
    """The tensors of a step of AdamP."""

    params: list[Tensor]
    grads: list[Tensor]
    exp_avgs: list[Tensor]
    exp_avg_sqs: list[Tensor]
    steps: list[Tensor]
    """Steps taken so far; the step adds one."""
    row_dims: list[RowDims]
    views: list[Tensor | None]
    """The projection's view in the step before, None where there was none: most weights keep theirs, and a kernel is
    faster where they do."""


class AdamPHyperparameters(NamedTuple):
    """The hyperparameters of a step of AdamP."""

    invariance: ScaleInvariance
    lr: float | Tensor
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    wd_ratio: float
    nesterov: bool
    maximize: bool
    capturable: bool
    differentiable: bool

    @classmethod
    def from_group(cls, group: dict[str, Any]) -> AdamPHyperparameters:
        """Those of a parameter group."""
        return cls(ScaleInvariance.from_group(group), *(group[name] for name in cls._fields[1:]))


class SGDPState(NamedTuple):
    """The tensors of a step of SGDP; the fields are AdamPState's."""

    params: list[Tensor]
    grads: list[Tensor]
    momentum_buffers: list[Tensor]
    row_dims: list[RowDims]
    views: list[Tensor | None]


class SGDPHyperparameters(NamedTuple):
    """The hyperparameters of a step of SGDP."""

    invariance: ScaleInvariance
    lr: float | Tensor
    momentum: float
    dampening: float
    weight_decay: float
    nesterov: bool
    wd_ratio: float
    project_buffer: bool
    maximize: bool
    capturable: bool
    differentiable: bool

    @classmethod
    def from_group(cls, group: dict[str, Any]) -> SGDPHyperparameters:
        """Those of a parameter group."""
        return cls(ScaleInvariance.from_group(group), *(group[name] for name in cls._fields[1:]))

    @property
    def shrink(self) -> float | Tensor:
        """What a step takes of a weight for its decay."""
        return self.lr * self.weight_decay / (1 - self.momentum)


class AdaRemState(NamedTuple):
    """The tensors of a step of AdaRem; of sharded ones this process's parts."""

    params: list[Tensor]
    grads: list[Tensor]
    """To descend: already negative where the optimizer maximizes, in the dtype of `exp_avgs`."""
    weights: list[Tensor]
    """The parameters in the dtype of `exp_avgs`: themselves, or copies."""
    exp_avgs: list[Tensor]
    largest: list[Tensor]
    """max |exp_avg| per tensor, without dimensions."""
    limits: list[Tensor]
    """What stands for it in this step: `largest`, or the largest of all tensors."""
    rates: list[float | Tensor]
    """What a damped gradient is multiplied by; the sphere's differ from lr."""


class AdaRemHyperparameters(NamedTuple):
    """The hyperparameters of a step of AdaRem."""

    lr: float | Tensor
    shrink: float | Tensor
    """What a step takes of a weight for its decay."""
    damping: float
    """lam to the number of epochs before."""
    beta: float
    eps: float
    relative: bool
    """Whether eps is that of `eps_mode` "relative"."""

    @classmethod
    def from_group(cls, group: dict[str, Any]) -> AdaRemHyperparameters:
        """Those of a parameter group."""
        return cls(
            lr=group["lr"],
            shrink=group["lr"] * group["weight_decay"],
            damping=group["lam"] ** group["epoch"],
            beta=group["beta"],
            eps=group["eps"],
            relative=group["eps_mode"] == "relative",
        )
