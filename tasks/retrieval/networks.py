"""The network of the retrieval tasks: a backbone with frozen batch statistics, two poolings summed, an embedding."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from optathlon.tasks.images.weights import find as weights_file
from optathlon.tasks.retrieval.losses import unit


class Embedder(nn.Module):
    """Images (n, 3, height, width) to unit vectors (n, width): backbone, average plus maximum over places, linear.

    The statistics of batch norms never move, in train mode neither. proxies: (classes, width), of which the embedding
    knows nothing, or None. Source: Kim et al. 2020, net/resnet.py; Heo et al. 2021, E.6.
    """

    def __init__(self, backbone: nn.Module, channels: int, width: int, classes: int | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.embedding = nn.Linear(channels, width)
        nn.init.kaiming_normal_(self.embedding.weight, mode="fan_out")
        nn.init.zeros_(self.embedding.bias)
        self.proxies = None if classes is None else nn.Parameter(torch.empty(classes, width))
        if self.proxies is not None:
            nn.init.kaiming_normal_(self.proxies, mode="fan_out")
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        places = self.backbone(images)
        pooled = places.mean((2, 3)) + places.amax((2, 3))
        return unit(self.embedding(pooled).float())

    def train(self, mode: bool = True) -> Embedder:
        super().train(mode)
        for module in self.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


def small(channels: Sequence[int]) -> nn.Module:
    """Convolution, batch norm, ReLU and halving for each of `channels`, from scratch."""
    layers: list[nn.Module] = []
    for wide_in, wide_out in pairwise([3, *channels]):
        convolution = nn.Conv2d(wide_in, wide_out, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        layers += [convolution, nn.BatchNorm2d(wide_out), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


def resnet50(root: Path) -> nn.Module:
    """ResNet-50 up to its last feature maps (n, 2048, h, w), with ImageNet's V1 weights from the data folder `root`.

    DataError if the file is not there or is not that file.
    """
    from torchvision.models.resnet import resnet50

    weights = torch.load(weights_file(root), map_location="cpu", weights_only=True)
    net = resnet50()
    net.load_state_dict(weights)
    return nn.Sequential(OrderedDict(x for x in net.named_children() if x[0] not in ("avgpool", "fc")))
