"""AdamP's and SGDP's test for scale-invariant weights, in the terms that the kernels of every device share."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

NONE, CHANNEL, LAYER = 0, 1, 2
VIEWS = {"none": NONE, "channel": CHANNEL, "layer": LAYER}
"""How a weight is looked at where its gradient is found orthogonal to it: row by row, or as one vector."""

PROJECTIONS = ("auto", "channel", "layer", "off")
"""Which views are tested: by channel and then by layer, only one of them, or none."""


class ScaleInvariance(NamedTuple):
    """When a weight counts as scale-invariant: where its gradient is orthogonal to it.

    Source: Heo et al., AdamP, ICLR 2021, equation 11.
    """

    delta: float
    """Limit on |cos(gradient, weight)| times the root of the length of a row."""
    eps: float
    """Least norm of gradients and weights in the cosine; also added to the norm that the projection divides by."""
    projection: str
    """One of PROJECTIONS."""

    @classmethod
    def from_group(cls, group: dict[str, Any]) -> ScaleInvariance:
        """That of a parameter group."""
        return cls(group["delta"], group["eps"], group["projection"])

    @property
    def code(self) -> int:
        """The projection as the kernels number it; "off" is 0 as "auto" is, as it leaves no rows to ask about."""
        return PROJECTIONS.index(self.projection) % 3


class Radial(NamedTuple):
    """What the projection does to one tensor. Multiple and ratio are numbers where the host knows them."""

    multiple: Tensor | float
    """Of the weight, taken out of the update: one per row, broadcasts over the weight."""
    ratio: Tensor | float
    """Factor on the weight decay, shaped as `multiple`."""
    view: Tensor
    """NONE, CHANNEL or LAYER, without dimensions."""
