"""What the retrieval tasks can be told; needs no torch."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from optathlon.tasks.errors import TaskError
from optathlon.tasks.task import Protocol

Count = Annotated[int, msgspec.Meta(ge=1)]
Limit = Annotated[int, msgspec.Meta(ge=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Protocol.settings` of these tasks.

    backbone: "resnet50" with ImageNet's weights, or "small", convolutions of `channels` from scratch. resize, crop:
    side in pixels. smallest_crop: the least share of a photo's area that a training crop shows. warmup: epochs in which
    only the embedding and the proxies train. training_classes, evaluation_classes: at most so many, 0 for all.
    """

    loss: Literal["triplet", "proxyanchor"]
    backbone: Literal["resnet50", "small"]
    channels: list[Count]
    embedding: Count
    margin: Annotated[float, msgspec.Meta(ge=0.0)]
    alpha: Annotated[float, msgspec.Meta(gt=0.0)]
    warmup: Limit
    resize: Count
    crop: Count
    smallest_crop: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]
    training_classes: Limit
    evaluation_classes: Limit
    evaluation_batch: Count


def settings_of(protocol: Protocol) -> Settings:
    """The typed settings of `protocol`; TaskError names the one that is unknown or out of range."""
    try:
        settings = msgspec.convert(protocol.settings, Settings)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise TaskError(f"protocol.settings{path.rstrip('`')}: {message}") from None
    if settings.crop > settings.resize:
        raise TaskError(f"protocol.settings.crop: {settings.crop} is more than resize, which is {settings.resize}")
    if settings.backbone == "small" and not settings.channels:
        raise TaskError("protocol.settings.channels: the small backbone needs one number or more")
    if settings.backbone == "small" and settings.crop < 2 ** len(settings.channels):
        raise TaskError(
            f"protocol.settings.crop: {settings.crop} is too small to be halved {len(settings.channels)} times, once"
            " for each of channels"
        )
    if protocol.holdout == "published":
        raise TaskError("protocol.holdout: no validation split is published, expected carved or none")
    if protocol.part < 2:
        raise TaskError(f"protocol.micro_batch: {protocol.part} is too small, a loss needs two photos or more")
    return settings
