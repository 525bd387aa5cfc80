"""What a family of tasks can be told: its settings, typed, and every check of a protocol that needs neither torch nor
data."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import msgspec

from optathlon.tasks.conversion import convert
from optathlon.tasks.errors import TaskError
from optathlon.tasks.task import LARGEST, LARGEST_NUMBER, Protocol

Count = Annotated[int, msgspec.Meta(ge=1, le=LARGEST)]
Limit = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]
"""At most so many; 0 for all."""
Positive = Annotated[float, msgspec.Meta(gt=0.0, le=LARGEST_NUMBER)]
Weight = Annotated[float, msgspec.Meta(ge=0.0, le=LARGEST_NUMBER)]
Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
DropRate = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
Share = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]

HELD_BACK = 10
"""One in so many training samples is the carved validation split, where a family does not say otherwise."""

_HOLDOUTS = {
    "published": "no validation split is published",
    "carved": "the validation split is published",
    "none": "there is no training without a validation split",
}
"""Why a kind of validation split is refused."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Protocol.settings`, typed. A family's subclass has a field for each setting, with its bounds in its type.

    `Subclass.read` is the family's `Task.check`, so that `plan` refuses what could not run, and its workload's way to
    its settings.
    """

    holdouts: ClassVar[tuple[str, ...]]
    """The kinds of validation split that the data has, of published, carved and none."""
    least_micro_batch: ClassVar[int] = 1
    """The fewest samples that one loss can be taken over."""
    least_because: ClassVar[str] = ""
    """Why, for the message: "batch normalization needs 2 recordings or more"."""

    @classmethod
    def read(cls, protocol: Protocol) -> Self:
        """The settings of `protocol`; TaskError names the field that is unknown, mistyped, out of range or at odds."""
        settings = convert(protocol.settings, cls, "protocol.settings")
        if protocol.holdout not in cls.holdouts:
            expected = " or ".join(cls.holdouts)
            raise TaskError(f"protocol.holdout: {_HOLDOUTS[protocol.holdout]}, expected {expected}")
        if protocol.micro_batch_size < cls.least_micro_batch:
            field = "batch" if protocol.micro_batch is None else "micro_batch"
            raise TaskError(f"protocol.{field}: {protocol.micro_batch_size} is too small, {cls.least_because}")
        settings.check(protocol)
        return settings

    def check(self, protocol: Protocol) -> None:
        """Raises TaskError where several fields are at odds with each other; here they never are."""


def carved(samples: int, protocol: Protocol) -> int:
    """How many of `samples` training samples are the carved validation split: a tenth, or none."""
    return samples // HELD_BACK if protocol.holdout == "carved" else 0


def check_carved(name: str, samples: int, protocol: Protocol) -> None:
    """TaskError if a tenth of `samples`, as the setting `name` limits them, is no validation split at all."""
    if protocol.holdout == "carved" and not carved(samples, protocol):
        raise TaskError(
            f"protocol.settings.{name}: one in {HELD_BACK} is for validation, and {samples} training samples leave"
            " none; take more"
        )


def require_batch(samples: int, kind: str, protocol: Protocol, remedy: str) -> None:
    """TaskError, with the `remedy`, if there are fewer training `samples`, photos or the like, than one batch takes."""
    if samples < protocol.batch:
        raise TaskError(
            f"protocol.batch: {protocol.batch} is more than the {samples} training {kind}; take a smaller batch, or"
            f" {remedy}"
        )


def check_crop(crop: int, resize: int, least: int = 1) -> None:
    """TaskError unless a square of `crop` pixels, and at least of `least`, fits into a photo resized to `resize`."""
    if crop < least:
        raise TaskError(f"protocol.settings.crop: {crop} is less than the {least} pixels that the network needs")
    if crop > resize:
        raise TaskError(f"protocol.settings.crop: {crop} is more than resize, which is {resize}")
