"""SSD's network: VGG-16 with batch norm, layers that shrink on, two heads at each feature map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize as unit

from optathlon.tasks.coco.settings import Extra, Layout, boxes_per_cell

CONVOLUTIONS = (2, 2, 3, 3, 3)  # in each of VGG-16's five blocks
CONV4_3 = 33  # layers up to and with its ReLU
SCALE = 20.0  # of conv4_3's vectors, at first


class Outputs(NamedTuple):
    """What the network says of n inputs and p priors."""

    logits: Tensor
    """Of the background and the classes (n, p, 1 + classes)."""
    corrections: Tensor
    """(n, p, 4)."""


class Ssd(nn.Module):
    """Normalized images (n, 3, size, size) to `Outputs`.

    All but the trunk begins Xavier-uniform with bias 0, and has no batch norm. Source: Liu et al. 2016, sections 2.1
    and 3; torchvision's ssd.py.
    """

    def __init__(
        self, layout: Layout, channels: Sequence[int], fc_channels: int, extra_share: float, classes: int
    ) -> None:
        super().__init__()
        self.classes = classes
        self.trunk = vgg16_bn(channels)
        self.scale = nn.Parameter(torch.full((channels[3],), SCALE))
        self.fc = _fc(channels[-1], fc_channels)
        extras = [*_extras(layout.extras, fc_channels, extra_share)]
        self.extras = nn.ModuleList(extras)
        widths = [channels[3], fc_channels, *(extra.get_parameter("2.weight").shape[0] for extra in extras)]
        per_cell = [boxes_per_cell(grid) for grid in layout.grids]
        self.logits, self.corrections = (
            nn.ModuleList(nn.Conv2d(w, n * values, 3, padding=1) for w, n in zip(widths, per_cell, strict=True))
            for values in (1 + classes, 4)
        )
        for part in (self.fc, self.extras, self.logits, self.corrections):
            for module in part.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.xavier_uniform_(module.weight)
                    nn.init.zeros_(module.get_parameter("bias"))

    def forward(self, images: Tensor) -> Outputs:
        features = list(self._features(images))
        logits, corrections = (
            torch.cat([_by_prior(head(f), values) for head, f in zip(heads, features, strict=True)], dim=1)
            for heads, values in ((self.logits, 1 + self.classes), (self.corrections, 4))
        )
        return Outputs(logits, corrections)

    def _features(self, images: Tensor) -> Iterator[Tensor]:
        features = self.trunk[:CONV4_3](images)
        yield self.scale[:, None, None] * unit(features, dim=1)
        features = self.fc(self.trunk[CONV4_3:](features))
        yield features
        for extra in self.extras:
            yield (features := extra(features))


def vgg16_bn(channels: Sequence[int]) -> nn.Sequential:
    """torchvision's features of VGG-16 with batch norm, by its numbers, with `channels` in its five blocks.

    The third pooling rounds up (75 to 38 places at 300 pixels), the fifth keeps the resolution. Convolutions begin
    Kaiming-normal, fan out.
    """
    layers: list[nn.Module] = []
    narrow = 3
    for block, (wide, count) in enumerate(zip(channels, CONVOLUTIONS, strict=True)):
        for _ in range(count):
            convolution = nn.Conv2d(narrow, wide, 3, padding=1)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(convolution.get_parameter("bias"))
            layers += [convolution, nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
            narrow = wide
        last = nn.MaxPool2d(3, stride=1, padding=1)
        layers.append(last if block == len(CONVOLUTIONS) - 1 else nn.MaxPool2d(2, ceil_mode=block == 2))
    return nn.Sequential(*layers)


def _fc(narrow: int, wide: int) -> nn.Sequential:
    spread = nn.Conv2d(narrow, wide, 3, padding=6, dilation=6)
    return nn.Sequential(spread, nn.ReLU(inplace=True), nn.Conv2d(wide, wide, 1), nn.ReLU(inplace=True))


def _extras(extras: Sequence[Extra], channels: int, share: float) -> Iterator[nn.Sequential]:
    for extra in extras:
        narrow, wide = (max(1, round(share * count)) for count in (extra.narrow, extra.wide))
        squeeze = nn.Conv2d(channels, narrow, 1)
        shrink = nn.Conv2d(narrow, wide, extra.kernel, stride=extra.stride, padding=extra.padding)
        yield nn.Sequential(squeeze, nn.ReLU(inplace=True), shrink, nn.ReLU(inplace=True))
        channels = wide


def _by_prior(maps: Tensor, values: int) -> Tensor:
    """(n, boxes * values, height, width) as (n, height * width * boxes, values): rows, columns, boxes of a cell."""
    return maps.permute(0, 2, 3, 1).reshape(len(maps), -1, values)
