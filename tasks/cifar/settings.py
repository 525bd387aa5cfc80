"""What the adversarial CIFAR-10 tasks can be told, and their threat models; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple

import msgspec

from optathlon.tasks.errors import TaskError
from optathlon.tasks.settings import Count, Settings, carved, check_carved, require_batch
from optathlon.tasks.task import LARGEST, Protocol

Norm = Literal["linf", "l2"]
StepRule = Literal["sign", "gradient"]
SIDE = 32
SHADES = 255.0
"""Distances are told in shades of gray: a pixel goes from 0 to 255 in files and from 0 to 1 in networks."""

Distance = Annotated[float, msgspec.Meta(gt=0.0, le=SHADES)]


class EvaluationAttack(NamedTuple):
    """How far an attack on the evaluated images may go, in shades, and in how many steps."""

    epsilon: float
    steps: int


class Threat(NamedTuple):
    """A task's threat model: the norm of all its attacks, and those on the evaluated images by their metric.

    It is the task itself, so no setting changes it. Source: Heo et al. 2021, section E.4.1 and Table E.2.
    """

    norm: Norm
    evaluated: Mapping[str, EvaluationAttack]


THREATS: dict[str, Threat] = {
    "linf4": Threat(
        "linf", {"attacked_linf_4": EvaluationAttack(4.0, 10), "attacked_linf_8": EvaluationAttack(8.0, 20)}
    ),
    "l2": Threat("l2", {"attacked_l2_80": EvaluationAttack(80.0, 10)}),
    "linf8": Threat("linf", {"attacked_linf_8": EvaluationAttack(8.0, 20)}),
}


class AdversarialSettings(Settings, frozen=True, kw_only=True):
    """`Protocol.settings` of these tasks; distances in shades (of 255)."""

    holdouts: ClassVar = ("carved", "none")

    depth: Annotated[int, msgspec.Meta(ge=10, le=LARGEST)]
    """Of the wide residual network: 4 plus a multiple of 6."""
    widen: Count
    """Stages have 1, 2 and 4 times `widen` times `stem` channels."""
    stem: Count
    """Channels of the first convolution."""
    epsilon: Distance
    """How far the training attack may go."""
    steps: Count
    """Steps of the training attack."""
    step_size: Distance
    """Of the training attack."""
    evaluation_step_size: Distance
    """Of the attacks on the evaluated images."""
    step_rule: StepRule
    """sign: every pixel moves by the step size, the published code's rule for both norms. gradient: the whole image
    moves by it along the gradient, as is usual under the l2 norm."""
    train_images: Count
    """At most so many, also those held back for validation."""
    test_images: Count
    """At most so many."""
    block: Literal[1, 2, 4]
    """Images are shrunk by averaging blocks of so many pixels a side."""

    def check(self, protocol: Protocol) -> None:
        if (self.depth - 4) % 6:
            raise TaskError(
                f"protocol.settings.depth: {self.depth} must be 4 plus a multiple of 6 (10, 16, 22, 28, 34)"
            )
        if self.stem % 2:
            raise TaskError(
                f"protocol.settings.stem: {self.stem} must be even, as shortcuts add as many channels on both sides"
            )
        check_carved("train_images", self.train_images, protocol)
        left = self.train_images - carved(self.train_images, protocol)
        if protocol.micro_batches > 1:  # else the last, short batch is trained on as well
            require_batch(left, "images", protocol, "more protocol.settings.train_images")
