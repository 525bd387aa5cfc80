"""A stage of a residual network, from torchvision's blocks: its ResNet has no narrower or shallower ones."""

from __future__ import annotations

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck


def residual_stage(
    block: type[BasicBlock | Bottleneck], before: int, planes: int, blocks: int, stride: int
) -> nn.Sequential:
    """`blocks` blocks of `planes` channels, of which a bottleneck puts out four times as many, after `before` channels.

    The first one has the `stride`, and a convolution as shortcut where it changes the shape.
    """
    after = planes * block.expansion
    shortcut = None
    if stride != 1 or before != after:
        shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after))
    # A bottleneck's inner width is planes * base_width / 64, so that both kinds of block scale by their planes.
    first = block(before, planes, stride, shortcut)
    return nn.Sequential(first, *(block(after, planes) for _ in range(1, blocks)))
