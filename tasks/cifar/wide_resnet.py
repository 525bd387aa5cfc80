"""The wide residual network of adversarial training, with shortcuts that have no weights."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from optathlon.tasks.cifar.cifar10.layout import CLASSES

STRIDES = (1, 2, 2)


class WideResNet(nn.Module):
    """A pre-activation network: a convolution, three stages of residual blocks, average over places, one linear layer.

    Takes images (n, 3, side, side) in [0, 1]; gives logits (n, 10). WRN-34-10 has 45,901,914 parameters, as its
    shortcuts pool and pad where the usual ones convolve (46,160,474). Convolutions start normal with variance
    2 / (kernel area * channels out). Source: louis2889184/pytorch-adversarial-training 4c18cef, madry_model.py.
    """

    def __init__(self, depth: int = 34, widen: int = 10, stem: int = 16) -> None:
        super().__init__()
        widths = [stem * widen * times for times in (1, 2, 4)]
        self.stem = nn.Conv2d(3, stem, 3, padding=1, bias=False)
        blocks: list[Block] = []
        before = stem
        for width, stride in zip(widths, STRIDES, strict=True):
            for place in range((depth - 4) // 6):
                blocks.append(Block(before, width, stride if place == 0 else 1))
                before = width
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(before)
        self.head = nn.Linear(before, CLASSES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels)))
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu(self.norm(self.blocks(self.stem(images))))
        return self.head(features.mean((2, 3)))

    @property
    def scale_invariant(self) -> list[str]:
        """Names of the weights whose scale changes nothing, as batch norm alone sees what they make.

        The first convolution of each block, and the stem where the first block changes the width: there its shortcut
        begins behind the norm. A block's second convolution is added to the shortcut.
        """
        names = [f"blocks.{place}.first.weight" for place in range(len(self.blocks))]
        return ["stem.weight", *names] if self.blocks[0].padding else names


class Block(nn.Module):
    """Norm, ReLU, 3x3 convolution, twice, plus a shortcut.

    Where the width changes the shortcut begins behind the first norm and ReLU, is averaged over stride x stride places
    and gets as many zero channels on both sides.
    """

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.BatchNorm2d(before), nn.BatchNorm2d(width)
        self.first = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.stride, self.padding = stride, (width - before) // 2

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.first_norm(x), inplace=True)
        residual = self.second(F.relu(self.second_norm(self.first(activated)), inplace=True))
        if not self.padding:
            return x + residual
        pooled = F.avg_pool2d(activated, self.stride) if self.stride > 1 else activated
        return F.pad(pooled, (0, 0, 0, 0, self.padding, self.padding)) + residual
