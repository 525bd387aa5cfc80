"""What the kernels of every device must know of AdamP's and SGDP's projection."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

NONE, CHANNEL, LAYER = 0, 1, 2


VIEWS = {"none": NONE, "channel": CHANNEL, "layer": LAYER}


PROJECTIONS = ("auto", "channel", "layer", "off")


class Rule(NamedTuple):
    """When a weight counts as scale-invariant.

    delta: limit on |cos(gradient, weight)| times the root of the row's length.
    eps: least norm. projection: which views are tested, one of PROJECTIONS.
    """

    delta: float
    eps: float
    projection: str


class Radial(NamedTuple):
    """What the projection does to one tensor.

    part: multiple of the weight that the projection takes out of the update; one a row, broadcasts over the weight.
    ratio: factor on the weight decay; as `part`. Both are numbers where that is known without asking a device.
    view: NONE, CHANNEL or LAYER, without dimensions.
    """

    part: Tensor | float
    ratio: Tensor | float
    view: Tensor
