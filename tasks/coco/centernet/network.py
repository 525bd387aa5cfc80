"""CenterNet's network: a ResNet, three doublings of the resolution, three heads."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock
from torchvision.ops import deform_conv2d

from optathlon.tasks.images.residual_stages import residual_stage

PUBLISHED_UPSAMPLING = {"deformable": (256, 128, 64), "plain": (256, 256, 256)}
RARE = -2.19  # the heatmap's first logits: a probability of 0.1
DOWN = 4  # input pixels for each place of the output, across and down


class Outputs(NamedTuple):
    """What the network says of n inputs, for each place of a map that is a quarter of their height and width."""

    heatmap: Tensor
    """Logits (n, classes, height, width) of an object's center lying here."""
    sizes: Tensor
    """Width and height of that object in places (n, 2, height, width)."""
    offsets: Tensor
    """How far right of and below the place's corner the center lies, in places (n, 2, height, width)."""


class ResNet(nn.Module):
    """ResNet of basic blocks up to its last feature maps (n, channels[-1], height / 32, width / 32).

    With channels 64, 128, 256, 512 and two blocks a stage it is ResNet-18, whose parameters have torchvision's names.
    Convolutions begin Kaiming-normal, fan out.
    """

    def __init__(self, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        for stage, (narrow, wide) in enumerate(pairwise([channels[0], *channels]), start=1):
            stride = 1 if stage == 1 else 2
            self.add_module(f"layer{stage}", residual_stage(BasicBlock, narrow, wide, blocks, stride))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        features = images
        for layer in self.children():
            features = layer(features)
        return features


class DeformableConv2d(nn.Module):
    """A 3x3 convolution whose nine points move and fade with the input (Zhu et al. 2019: modulated, version 2).

    At first all points lie where a plain convolution has them and count half, because offsets and logits begin at 0.
    """

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(9 * narrow)
        self.weight = nn.Parameter(torch.empty(wide, narrow, 3, 3).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(wide))
        self.points = nn.Conv2d(narrow, 3 * 9, 3, padding=1)  # two offsets and one logit for each
        nn.init.zeros_(self.points.weight)
        nn.init.zeros_(self.points.get_parameter("bias"))

    def forward(self, features: Tensor) -> Tensor:
        offsets, logits = self.points(features).split([18, 9], dim=1)
        return deform_conv2d(features, offsets, self.weight, self.bias, padding=(1, 1), mask=logits.sigmoid())


class CenterNet(nn.Module):
    """Normalized images (n, 3, height, width), both sides multiples of 32, to `Outputs`.

    upsampling: "deformable" is resdcn_18 of the reference code, "plain" its res_18, if `up_channels` are the published.
    Source: Zhou et al. 2019, section 5 and figure 6; CenterNet's resnet_dcn.py, msra_resnet.py.
    """

    def __init__(
        self,
        channels: Sequence[int],
        blocks: int,
        upsampling: str,
        up_channels: Sequence[int],
        head_channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.backbone = ResNet(channels, blocks)
        doubling = {"deformable": _deformable_doubling, "plain": _plain_doubling}[upsampling]
        widths = [channels[-1], *(up_channels or PUBLISHED_UPSAMPLING[upsampling])]
        self.upsampling = nn.Sequential(*(layer for pair in pairwise(widths) for layer in doubling(*pair)))
        self.heatmap = _head(widths[-1], head_channels, classes)
        nn.init.constant_(self.heatmap.get_parameter("out.bias"), RARE)
        self.sizes, self.offsets = (_head(widths[-1], head_channels, 2) for _ in range(2))
        for head in (self.sizes, self.offsets):
            for module in (head.get_submodule("hidden"), head.get_submodule("out")):
                nn.init.normal_(module.get_parameter("weight"), std=0.001)
                nn.init.zeros_(module.get_parameter("bias"))

    def forward(self, images: Tensor) -> Outputs:
        features = self.upsampling(self.backbone(images))
        return Outputs(self.heatmap(features), self.sizes(features), self.offsets(features))


def _deformable_doubling(narrow: int, wide: int) -> list[nn.Module]:
    up = nn.ConvTranspose2d(wide, wide, 4, stride=2, padding=1, bias=False)
    with torch.no_grad():  # of a dense kernel, as there: only what goes to the first channel is bilinear
        up.weight[:, 0] = bilinear_kernel()
    norms = [nn.BatchNorm2d(wide) for _ in range(2)]
    return [DeformableConv2d(narrow, wide), norms[0], nn.ReLU(inplace=True), up, norms[1], nn.ReLU(inplace=True)]


def _plain_doubling(narrow: int, wide: int) -> list[nn.Module]:
    up = nn.ConvTranspose2d(narrow, wide, 4, stride=2, padding=1, bias=False)
    nn.init.normal_(up.weight, std=0.001)
    return [up, nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]


def bilinear_kernel() -> Tensor:
    """The 4x4 kernel with which a transposed convolution of stride 2 interpolates bilinearly."""
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    return torch.outer(line, line)


def _head(narrow: int, hidden: int, wide: int) -> nn.Sequential:
    layers = [
        ("hidden", nn.Conv2d(narrow, hidden, 3, padding=1)),
        ("relu", nn.ReLU(inplace=True)),
        ("out", nn.Conv2d(hidden, wide, 1)),
    ]
    return nn.Sequential(OrderedDict(layers))
