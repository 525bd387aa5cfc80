"""One update of one network as probes see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import torch
from torch import Tensor


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Weights and gradients of one update by name, complex numbers as pairs of real ones."""

    before: Mapping[str, Tensor]
    """All weights as they were."""
    after: Mapping[str, Tensor]
    grads: Mapping[str, Tensor]
    """Of the weights that had a gradient."""
    invariant: frozenset[str]
    """Names of the scale-invariant weights."""
    projected: Mapping[str, bool] = {}
    """For each weight that the optimizer may project, whether it did."""

    @property
    def directions(self) -> list[str]:
        """The weights of which only the direction of each row counts; all matrices, where no network says so."""
        return sorted(self.invariant) or [name for name, weight in self.before.items() if weight.ndim > 1]


def real(tensor: Tensor) -> Tensor:
    """`tensor` with complex numbers as pairs of real ones."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def rows(weight: Tensor) -> Tensor:
    """A row per output channel, as AdamP's view by channel has them."""
    return weight.detach().reshape(len(weight), -1) if weight.ndim else weight.detach().view(1, 1)


def row_norms(weights: Iterable[Tensor]) -> Tensor:
    """The norms of all rows of all `weights` in one vector of float64."""
    return torch.cat([torch.linalg.vector_norm(rows(weight), dim=1, dtype=torch.float64) for weight in weights])
