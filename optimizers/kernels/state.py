"""What a step reads and writes, per rule: lists with one entry per tensor, for every implementation alike."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

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


class SGDPState(NamedTuple):
    """The tensors of a step of SGDP; the fields are AdamPState's."""

    params: list[Tensor]
    grads: list[Tensor]
    momentum_buffers: list[Tensor]
    row_dims: list[RowDims]
    views: list[Tensor | None]


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
    """What a damped gradient is multiplied by."""
