"""The networks of the ImageNet tasks: those of torchvision and timm, as published or narrower and shallower."""

from __future__ import annotations

import importlib
from collections import OrderedDict
from typing import Any

from torch import nn
from torchvision.models.mobilenetv2 import MobileNetV2
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.shufflenetv2 import ShuffleNetV2

from optathlon.tasks.images.residual_stages import residual_stage

RESNETS = {"resnet18": (BasicBlock, (2, 2, 2, 2)), "resnet50": (Bottleneck, (3, 4, 6, 3))}
STAGES = (64, 128, 256, 512)
MOBILENETV2 = (  # expansion, channels, blocks, stride (Sandler et al. 2018, table 2)
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
SHUFFLENETV2 = {  # channels (Ma et al. 2018, table 5)
    "shufflenetv2-0.5": (24, 48, 96, 192, 1024),
    "shufflenetv2-1.0": (24, 116, 232, 464, 1024),
}
SHUFFLENETV2_BLOCKS = (4, 8, 4)
EFFICIENTNETS = {  # width, depth (Tan & Le 2019)
    "efficientnet-b0": (1.0, 1.0),
    "efficientnet-b1": (1.0, 1.1),
    "efficientnet-b2": (1.1, 1.2),
    "efficientnet-b3": (1.2, 1.4),
}
REXNETS = {"rexnet-1.0": 1.0, "rexnet-1.3": 1.3}
MOBILENETS = {"mobilenetv2-1.0": 1.0, "mobilenetv2-0.5": 0.5}


def build(
    name: str, classes: int, *, width: float = 1.0, depth: float = 1.0, dropout: float = 0.0, drop_path: float = 0.0
) -> nn.Module:
    """The network `name`: images (n, 3, height, width) to logits (n, classes), with random weights of its library.

    width, depth: times as many channels and blocks as published, at least one block a stage. dropout: before the last
    layer. drop_path: of residual branches, growing with depth, in timm's networks.
    """
    if name in RESNETS:
        return _resnet(name, classes, width, depth)
    if name in MOBILENETS:
        rows = [[t, c, _blocks(n, depth), s] for t, c, n, s in MOBILENETV2]
        return MobileNetV2(classes, MOBILENETS[name] * width, rows, dropout=dropout)
    if name in SHUFFLENETV2:
        channels = [2 * max(1, round(c * width / 2)) for c in SHUFFLENETV2[name]]  # blocks split them into two halves
        return ShuffleNetV2([max(2, _blocks(n, depth)) for n in SHUFFLENETV2_BLOCKS], channels, classes)
    rates: dict[str, Any] = {"num_classes": classes, "drop_rate": dropout, "drop_path_rate": drop_path}
    if name in EFFICIENTNETS:
        wider, deeper = EFFICIENTNETS[name]
        made = importlib.import_module("timm.models.efficientnet")._gen_efficientnet
        base = f"efficientnet_{name[-2:]}"
        return made(base, channel_multiplier=wider * width, depth_multiplier=deeper * depth, **rates)
    made = importlib.import_module("timm.models.rexnet").RexNet
    return made(width_mult=REXNETS[name] * width, depth_mult=depth, **rates)


def _blocks(count: int, depth: float) -> int:
    return max(1, round(count * depth))


def _resnet(name: str, classes: int, width: float, depth: float) -> nn.Module:
    """torchvision's, which has no width: put together here from its blocks if it is to be narrower or shallower."""
    block, counts = RESNETS[name]
    layers = [_blocks(count, depth) for count in counts]
    if width == 1.0:
        return ResNet(block, layers, classes)
    channels = [max(1, round(stage * width)) for stage in STAGES]
    stem = channels[0]
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False),
        bn1=nn.BatchNorm2d(stem),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1),
    )
    before = stem
    for number, (wide, count) in enumerate(zip(channels, layers, strict=True), start=1):
        parts[f"layer{number}"] = residual_stage(block, before, wide, count, stride=1 if number == 1 else 2)
        before = wide * block.expansion
    parts |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(before, classes)}
    net = nn.Sequential(parts)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net
