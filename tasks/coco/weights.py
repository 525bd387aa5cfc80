"""ImageNet's weights of both backbones: where they must lie, and whether they are the ones. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from optathlon.tasks.images.weights import find_named
from optathlon.tasks.task import Protocol

RESNET18 = ("resnet18-f37072fd.pth", "resnet18-5c106cde.pth")  # the same V1 weights
VGG16_BN = ("vgg16_bn-6c64b313.pth",)
OTHERWISE = "--scale smoke, and the task whose name ends in -random, train from scratch"


def find_resnet18(root: Path) -> Path:
    """The file of ResNet-18's V1 weights below the data folder `root`; DataError if it is absent or another."""
    return find_named(root, RESNET18, "ResNet-18", OTHERWISE)


def find_vgg16_bn(root: Path) -> Path:
    """The file of VGG-16's V1 weights, with batch norm, below `root`; DataError if it is absent or another."""
    return find_named(root, VGG16_BN, "VGG-16 with batch norm", OTHERWISE)


def require_resnet18(protocol: Protocol, root: Path) -> None:
    """DataError if `protocol` starts from ResNet-18's weights and they are not below the data folder `root`."""
    if protocol.settings["weights"] == "imagenet":
        find_resnet18(root)


def require_vgg16_bn(protocol: Protocol, root: Path) -> None:
    """DataError if `protocol` starts from VGG-16's weights and they are not below the data folder `root`."""
    if protocol.settings["weights"] == "imagenet":
        find_vgg16_bn(root)
