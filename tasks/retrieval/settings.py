"""What the retrieval tasks can be told; needs no torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from optathlon.tasks.errors import TaskError
from optathlon.tasks.settings import Count, Limit, Positive, Settings, Share, Weight, check_crop
from optathlon.tasks.task import Protocol

HELD_BACK = 10
"""One in so many training classes is the carved validation split."""


class RetrievalSettings(Settings, frozen=True, kw_only=True):
    """`Protocol.settings` of the retrieval tasks."""

    holdouts: ClassVar = ("carved", "none")
    least_micro_batch: ClassVar = 2
    least_because: ClassVar = "a loss needs two photos or more"

    loss: Literal["triplet", "proxyanchor"]
    backbone: Literal["resnet50", "small"]
    """ "resnet50" with ImageNet's weights, or "small", convolutions of `channels` from scratch."""
    channels: list[Count]
    embedding: Count
    """Width of the vectors that are compared."""
    margin: Weight
    alpha: Positive
    """How sharply Proxy-Anchor tells near from far."""
    warmup: Limit
    """Epochs in which only the embedding and the proxies train."""
    resize: Count
    """Side of the whole photo in pixels."""
    crop: Count
    """Side in pixels of what the network sees."""
    smallest_crop: Share
    """The least share of a photo's area that a training crop shows."""
    training_classes: Limit
    """At most so many, also those held back for validation; 0 for all."""
    evaluation_classes: Limit
    """At most so many, 0 for all."""
    evaluation_batch: Count

    def check(self, protocol: Protocol) -> None:
        check_crop(self.crop, self.resize)
        if self.backbone == "small" and not self.channels:
            raise TaskError("protocol.settings.channels: the small backbone needs one number or more")
        if self.backbone == "small" and self.crop < 2 ** len(self.channels):
            raise TaskError(
                f"protocol.settings.crop: {self.crop} is too small to be halved {len(self.channels)} times, once"
                " for each of channels"
            )
        least = 3 if protocol.holdout == "carved" else 2
        for name, fewest in (("training_classes", least), ("evaluation_classes", 2)):
            if 0 < getattr(self, name) < fewest:
                raise TaskError(
                    f"protocol.settings.{name}: {getattr(self, name)} is too few to tell classes apart, expected 0 for"
                    f" all, or {fewest} or more"
                )


def held_back(classes: int) -> int:
    """How many of `classes` training classes the carved validation split takes."""
    return max(1, classes // HELD_BACK)
