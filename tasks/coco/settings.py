"""What the detection tasks can be told; needs no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import msgspec

from optathlon.tasks.errors import TaskError
from optathlon.tasks.settings import Count, Limit, Probability, Settings, Share, Weight, carved, check_carved
from optathlon.tasks.task import LARGEST, Protocol

RESNET18 = (64, 128, 256, 512)
VGG16 = (64, 128, 256, 512, 512)
STRIDE = 32  # of ResNet's last feature map


class DetectionSettings(Settings, frozen=True, kw_only=True):
    """What both detectors can be told."""

    holdouts: ClassVar = ("carved", "none")

    weights: Literal["random", "imagenet"]
    """How the backbone begins: from scratch, or from torchvision's ImageNet weights."""
    train_images: Limit
    """At most so many images of train2017, in the file's order, also those held back for validation; 0 for all."""
    test_images: Limit
    """At most so many images of val2017; 0 for all."""
    evaluation_batch: Count

    def check(self, protocol: Protocol) -> None:
        if not self.train_images:
            return
        check_carved("train_images", self.train_images, protocol)
        left = self.train_images - carved(self.train_images, protocol)
        if left < protocol.batch:
            raise TaskError(
                f"protocol.settings.train_images: {self.train_images} leave {left} to train on, less than one batch of"
                f" {protocol.batch}; take more, or 0 for all"
            )


class CenterNetSettings(DetectionSettings, frozen=True, kw_only=True):
    """`Protocol.settings` of the CenterNet tasks."""

    upsampling: Literal["deformable", "plain"]
    """A deformable convolution before each transposed one (resdcn_18), or transposed ones alone (res_18)."""
    size: Annotated[int, msgspec.Meta(ge=STRIDE, le=LARGEST, multiple_of=STRIDE)]
    """Side in pixels of a training input."""
    channels: Annotated[list[Count], msgspec.Meta(min_length=4, max_length=4)]
    """Of ResNet's four stages."""
    blocks: Count
    """Residual blocks in each stage."""
    up_channels: Annotated[list[Count], msgspec.Meta(max_length=3)]
    """Of the three doublings of the resolution; [] for those published with that upsampling."""
    head_channels: Count
    wh_weight: Weight
    """Of the loss of widths and heights, beside 1 of the heatmap's and the offsets'."""
    max_objects: Count
    """The annotations beyond so many of one image are not trained on."""
    keep_resolution: bool
    """Whether photos are judged in their own resolution, or scaled to fill an input of `size`."""

    def check(self, protocol: Protocol) -> None:
        super().check(protocol)
        if len(self.up_channels) not in (0, 3):
            raise TaskError(f"protocol.settings.up_channels: {self.up_channels} must be three numbers, or none")
        if protocol.micro_batch_size * (self.size // STRIDE) ** 2 < 2:
            raise TaskError(
                f"protocol.settings.size: {self.size} leaves one place in the last feature map, of which batch"
                " normalization in micro-batches of 1 needs two or more"
            )
        if self.weights == "imagenet" and (tuple(self.channels), self.blocks) != (RESNET18, 2):
            raise TaskError(
                f"protocol.settings.weights: imagenet's are of a ResNet-18, with channels {list(RESNET18)} and blocks"
                " 2; choose random, or these"
            )


class Grid(NamedTuple):
    """One feature map of SSD: cells a side, pixels a cell, the prior's scale, the next scale, aspect ratios.

    Scales are shares of the input's side.
    """

    cells: int
    step: int
    scale: float
    next_scale: float
    ratios: tuple[int, ...]


class Extra(NamedTuple):
    """Two convolutions that make SSD's next feature map: 1x1 to `narrow`, then `kernel` to `wide` channels."""

    narrow: int
    wide: int
    kernel: int
    stride: int
    padding: int


class Layout(NamedTuple):
    """The feature maps of an SSD for one input size, and the layers behind VGG's that make all but the first two."""

    grids: tuple[Grid, ...]
    extras: tuple[Extra, ...]

    @property
    def priors(self) -> int:
        """How many boxes all cells have together."""
        return sum(grid.cells**2 * boxes_per_cell(grid) for grid in self.grids)


def boxes_per_cell(grid: Grid) -> int:
    """Two squares, and two boxes for each aspect ratio."""
    return 2 + 2 * len(grid.ratios)


_SHRINK = {"kernel": 3, "stride": 2, "padding": 1}
_VALID = {"kernel": 3, "stride": 1, "padding": 0}
LAYOUTS = {
    300: Layout(
        (
            Grid(38, 8, 0.07, 0.15, (2,)),
            Grid(19, 16, 0.15, 0.33, (2, 3)),
            Grid(10, 32, 0.33, 0.51, (2, 3)),
            Grid(5, 64, 0.51, 0.69, (2, 3)),
            Grid(3, 100, 0.69, 0.87, (2,)),
            Grid(1, 300, 0.87, 1.05, (2,)),
        ),
        (
            Extra(256, 512, **_SHRINK),
            Extra(128, 256, **_SHRINK),
            Extra(128, 256, **_VALID),
            Extra(128, 256, **_VALID),
        ),
    ),
    512: Layout(
        (
            Grid(64, 8, 0.04, 0.10, (2,)),
            Grid(32, 16, 0.10, 0.26, (2, 3)),
            Grid(16, 32, 0.26, 0.42, (2, 3)),
            Grid(8, 64, 0.42, 0.58, (2, 3)),
            Grid(4, 128, 0.58, 0.74, (2, 3)),
            Grid(2, 256, 0.74, 0.90, (2,)),
            Grid(1, 512, 0.90, 1.06, (2,)),
        ),
        (
            Extra(256, 512, **_SHRINK),
            Extra(128, 256, **_SHRINK),
            Extra(128, 256, **_SHRINK),
            Extra(128, 256, **_SHRINK),
            Extra(128, 256, kernel=4, stride=1, padding=1),
        ),
    ),
    32: Layout(
        (
            Grid(4, 8, 0.2, 0.4, (2,)),
            Grid(2, 16, 0.4, 0.7, (2, 3)),
            Grid(1, 32, 0.7, 1.0, (2,)),
        ),
        (Extra(256, 512, **_SHRINK),),
    ),
}
"""By input size. 300 and 512: Liu et al. 2016, sections 2.2, 3.4 and 3.6, for COCO; 32 is for smoke runs."""


class SsdSettings(DetectionSettings, frozen=True, kw_only=True):
    """`Protocol.settings` of the SSD tasks."""

    size: int
    """Side in pixels of an input: a key of LAYOUTS."""
    channels: Annotated[list[Count], msgspec.Meta(min_length=5, max_length=5)]
    """Of VGG's five blocks of convolutions."""
    fc_channels: Count
    """Of the two layers that stand for VGG's fully connected ones."""
    extra_share: Share
    """Which share of their published channels the layers behind these have."""
    overlap: Probability
    """The least IoU of a prior with a box that it is trained to find."""
    negatives: Weight
    """Hard negatives for each positive."""

    def check(self, protocol: Protocol) -> None:
        super().check(protocol)
        if self.size not in LAYOUTS:
            raise TaskError(f"protocol.settings.size: {self.size} has no priors, expected one of {sorted(LAYOUTS)}")
        if self.weights == "imagenet" and tuple(self.channels) != VGG16:
            raise TaskError(
                f"protocol.settings.weights: imagenet's are of a VGG-16, with channels {list(VGG16)}; choose random, or"
                " these"
            )
