"""The two networks of Biased-MNIST: one architecture, seen through large and through 1x1 kernels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from optathlon.tasks.rebias.coloring import CLASSES


class SimpleConvNet(nn.Module):
    """Convolution, batch norm and ReLU for each of `channels`, global average pooling, one linear layer.

    Takes images (n, 3, height, width); gives logits (n, 10) and the pooled features (n, channels[-1]) for HSIC.
    Convolutions keep the size, have a bias, and start Kaiming-normal (fan out). Source: ReBias, models/mnist_models.py.
    """

    def __init__(self, channels: Sequence[int], kernel: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for wide_in, wide_out in pairwise([3, *channels]):
            convolution = nn.Conv2d(wide_in, wide_out, kernel, padding=kernel // 2)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
            blocks += [convolution, nn.BatchNorm2d(wide_out), nn.ReLU(inplace=True)]
        self.extractor = nn.Sequential(*blocks)
        self.fc = nn.Linear(channels[-1], CLASSES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.extractor(images).mean((2, 3))
        return self.fc(features), features
