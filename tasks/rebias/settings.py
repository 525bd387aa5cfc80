"""What Biased-MNIST can be told; needs no torch."""

from __future__ import annotations

from typing import Annotated

import msgspec

from optathlon.tasks.errors import TaskError
from optathlon.tasks.task import Protocol

Count = Annotated[int, msgspec.Meta(ge=1)]
Weight = Annotated[float, msgspec.Meta(ge=0.0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Protocol.settings` of this task."""

    lambda_f: Weight
    lambda_g: Weight
    sigma: Annotated[float, msgspec.Meta(gt=0.0)]
    rho: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
    channels: Annotated[list[Count], msgspec.Meta(min_length=1)]
    kernel_f: Count
    kernel_g: Count
    train_images: Count
    test_images: Count
    block: Annotated[int, msgspec.Meta(ge=1, le=28)]


def settings_of(protocol: Protocol) -> Settings:
    """The typed settings of `protocol`; TaskError names the one that is unknown or out of range."""
    try:
        return msgspec.convert(protocol.settings, Settings)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise TaskError(f"protocol.settings{path.rstrip('`')}: {message}") from None
