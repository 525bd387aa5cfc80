"""What the task of nine classes can be told; needs no torch."""

from __future__ import annotations

from typing import ClassVar

from optathlon.tasks.rebias.imagenet9.classes import CLASSES
from optathlon.tasks.rebias.settings import ReBiasSettings
from optathlon.tasks.settings import Count, Limit, Share, carved, check_carved, check_crop, require_batch
from optathlon.tasks.task import Protocol

SMALLEST = 5
"""Pixels a side that BagNet-18 needs."""


class ImageNet9Settings(ReBiasSettings, frozen=True, kw_only=True):
    """`Protocol.settings` of the task of nine classes."""

    holdouts: ClassVar = ("carved", "none")

    width: Count
    """Channels of the first stage of both networks."""
    sampled: Share
    """Share of an epoch's batches from which the kernels' widths are taken before the epoch."""
    resize: Count
    """Side in pixels to which an evaluated photo's shorter side is resized."""
    crop: Count
    """Side in pixels of the square that the networks see."""
    smallest_crop: Share
    """The least share of a photo's area that a training crop shows."""
    smallest_cell: Count
    """Cells of class and cluster with fewer photos do not count in the unbiased accuracy."""
    train_images: Limit
    """At most so many of each class, also those held back for validation; 0 for all."""

    def check(self, protocol: Protocol) -> None:
        check_crop(self.crop, self.resize, SMALLEST)
        if self.train_images:
            photos = CLASSES * self.train_images
            check_carved("train_images", photos, protocol)
            left = photos - carved(photos, protocol)
            require_batch(left, "photos", protocol, "more protocol.settings.train_images")
