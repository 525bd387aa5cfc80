"""The two networks of the nine classes: ResNet-18, and BagNet-18, which sees squares of five pixels only."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.functional import relu

from optathlon.tasks.imagenet import networks
from optathlon.tasks.rebias.imagenet9.classes import CLASSES

STRIDES, TIMES, BLOCKS = (2, 2, 2, 1), (1, 2, 4, 8), 2
STEM_MOMENTUM = 0.001
WIDTH = 64


class FeaturedResNet(nn.Module):
    """torchvision's ResNet-18 from scratch, `width` channels (published: 64) in its first stage.

    Takes images (n, 3, height, width); gives logits (n, 9) and the pooled features (n, 8 * width) for HSIC.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.backbone = networks.build("resnet18", CLASSES, width=width / WIDTH)
        self.fc = nn.Linear(TIMES[-1] * width, CLASSES)
        self.backbone.fc = nn.Identity()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(images)
        return self.fc(features), features


class BagNet(nn.Module):
    """BagNet-18 of `width` channels (published: 64) in its first stage, with a receptive field of 5 x 5 pixels.

    Takes images (n, 3, height, width) of at least 5 pixels a side; gives logits (n, 9) and the pooled features
    (n, 8 * width) for HSIC. No convolution pads. Convolutions start normal with variance
    2 / (kernel area * channels out). Source: ReBias, models/imagenet_models.py, bagnet18.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(3, width, 1, bias=False)
        self.stem = nn.Conv2d(width, width, 3, bias=False)
        self.norm = nn.BatchNorm2d(width, momentum=STEM_MOMENTUM)
        blocks, before = [], width
        for stage, (times, stride) in enumerate(zip(TIMES, STRIDES, strict=True)):
            for place in range(BLOCKS):
                kernel = 3 if stage == place == 0 else 1
                blocks.append(Block(before, times * width, kernel, stride if place == 0 else 1))
                before = times * width
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(before, CLASSES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels)))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.blocks(relu(self.norm(self.stem(self.pointwise(images))))).mean((2, 3))
        return self.fc(features), features


class Block(nn.Module):
    """A convolution of 3x3 or 1x1 and one of 1x1, each with batch norm, plus a shortcut cropped to match."""

    def __init__(self, before: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(before, width, kernel, stride, bias=False), nn.BatchNorm2d(width)
        self.second, self.second_norm = nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, width, 1, stride, bias=False),
                nn.BatchNorm2d(width),
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.second_norm(self.second(relu(self.first_norm(self.first(x)))))
        # A 3x3 kernel without padding loses places at the end, which the shortcut then has to lose as well.
        return relu(out + self.shortcut(x)[:, :, : out.shape[2], : out.shape[3]])
