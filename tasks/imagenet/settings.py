"""What the ImageNet tasks can be told; needs no torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import ClassVar, Literal

from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.settings import (
    Count,
    DropRate,
    Limit,
    Positive,
    Probability,
    Settings,
    Share,
    Weight,
    check_crop,
    require_batch,
)
from optathlon.tasks.task import Protocol

Network = Literal[
    "resnet18",
    "resnet50",
    "mobilenetv2-1.0",
    "mobilenetv2-0.5",
    "shufflenetv2-1.0",
    "shufflenetv2-0.5",
    "efficientnet-b0",
    "efficientnet-b1",
    "efficientnet-b2",
    "efficientnet-b3",
    "rexnet-1.0",
    "rexnet-1.3",
]
TIMM = ("efficientnet", "rexnet")
"""How the names of timm's networks begin; the others are torchvision's."""
WITH_DROPOUT = ("mobilenetv2", *TIMM)


class ImageNetSettings(Settings, frozen=True, kw_only=True):
    """`Protocol.settings` of the ImageNet tasks."""

    holdouts: ClassVar = ("carved", "none")
    least_micro_batch: ClassVar = 2
    least_because: ClassVar = "batch normalization needs two photos or more"

    network: Network
    width: Positive
    """Times as many channels as published."""
    depth: Positive
    """Times as many blocks a stage as published."""
    dropout: DropRate
    """Before the last layer."""
    drop_path: DropRate
    """Of the last residual branch; it grows linearly from the first (timm's networks)."""
    classes: Limit
    """At most so many, evenly spaced among the sorted names; 0 for all."""
    training_photos: Limit
    """At most so many a class, 0 for all."""
    evaluation_photos: Limit
    """At most so many a class, 0 for all."""
    resize: Count
    """Shorter side in pixels, before the middle is cut out in evaluation."""
    crop: Count
    """Side in pixels of what the network sees."""
    smallest_crop: Share
    """The least share of a photo's area that a training crop shows."""
    interpolation: Literal["bilinear", "bicubic"]
    training_interpolation: Literal["bilinear", "bicubic", "random"]
    draft: bool
    """Whether JPEGs are decoded no larger than needed, which is faster and changes pixels by their noise."""
    jitter: Probability
    """Brightness, contrast and saturation change by up to this share."""
    lighting: Weight
    """Deviation of AlexNet's PCA noise."""
    randaugment: Weight
    """Magnitude of RandAugment, 0 for none."""
    randaugment_deviation: Weight
    erasing: Probability
    """Probability that a rectangle is erased."""
    mixing: Literal["none", "cutmix", "mixup"]
    mixing_alpha: Weight
    """The share of a photo's own pixels is Beta(alpha, alpha)."""
    mixing_epochs: Limit
    """The first epochs, in which batches are mixed; 0 for all."""
    label_smoothing: DropRate
    train_loss_photos: Count
    """At most so many training photos a class, over which train_loss is taken."""
    evaluation_batch: Count

    @property
    def needs_timm(self) -> bool:
        return self.network.startswith(TIMM)

    def check(self, protocol: Protocol) -> None:
        place = "protocol.settings"
        check_crop(self.crop, self.resize)
        if self.classes == 1:
            raise TaskError(f"{place}.classes: 1 class leaves nothing to tell apart, expected 0 for all, or 2 or more")
        if self.training_photos == 1 and protocol.holdout == "carved":
            raise TaskError(f"{place}.training_photos: 1 a class leaves none for training beside the validation split")
        if self.dropout and not self.network.startswith(WITH_DROPOUT):
            raise TaskError(f"{place}.dropout: {self.network} has no dropout, expected 0")
        if self.drop_path and not self.needs_timm:
            raise TaskError(f"{place}.drop_path: {self.network} drops no paths, expected 0")
        if self.randaugment > 10:
            raise TaskError(f"{place}.randaugment: {self.randaugment:g} must be a magnitude from 0 to 10")
        if self.mixing != "none" and not self.mixing_alpha:
            raise TaskError(f"{place}.mixing_alpha: {self.mixing} needs one above 0")
        if self.classes and self.training_photos:
            most = self.classes * self.training_photos
            require_batch(most, "photos", protocol, f"more {place}.classes or training_photos")


def require_timm(protocol: Protocol, root: Path) -> None:
    """DataError if the network is timm's and timm is not installed."""
    settings = ImageNetSettings.read(protocol)
    if settings.needs_timm and importlib.util.find_spec("timm") is None:
        raise DataError(
            f"imagenet: {settings.network} comes from the package timm, which is not installed:"
            " `pip install 'optathlon[vision]'`"
        )
