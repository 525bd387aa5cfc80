"""What a family of tasks can be told: its settings, typed, and every check of a protocol that needs neither torch nor
data."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import msgspec

from optathlon.tasks.conversion import convert
from optathlon.tasks.errors import TaskError
from optathlon.tasks.task import Protocol

Count = Annotated[int, msgspec.Meta(ge=1)]
Limit = Annotated[int, msgspec.Meta(ge=0)]
"""At most so many; 0 for all."""
Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Weight = Annotated[float, msgspec.Meta(ge=0.0)]
Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
DropRate = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
Share = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]

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
        if protocol.part < cls.least_micro_batch:
            field = "batch" if protocol.micro_batch is None else "micro_batch"
            raise TaskError(f"protocol.{field}: {protocol.part} is too small, {cls.least_because}")
        settings.check(protocol)
        return settings

    def check(self, protocol: Protocol) -> None:
        """Raises TaskError where several fields are at odds with each other; here they never are."""
