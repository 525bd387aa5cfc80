"""What the ReBias tasks can be told; needs no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from optathlon.tasks.errors import TaskError
from optathlon.tasks.settings import Count, Positive, Probability, Settings, Weight, carved, check_carved
from optathlon.tasks.task import Protocol

FEWEST = 4
"""Samples that the unbiased estimator of HSIC needs: it divides by m - 3."""


class ReBiasSettings(Settings, frozen=True, kw_only=True):
    """What two-player training can be told on any data set."""

    least_micro_batch: ClassVar = FEWEST
    least_because: ClassVar = f"HSIC needs at least {FEWEST} samples"

    lambda_f: Weight
    """How much the network that is judged is penalized for resembling the biased one."""
    lambda_g: Weight
    """How much the biased network is rewarded for resembling the other."""


class BiasedMnistSettings(ReBiasSettings, frozen=True, kw_only=True):
    """`Protocol.settings` of Biased-MNIST."""

    holdouts: ClassVar = ("carved", "none")

    sigma: Positive
    """Width of the kernels by which two representations are compared."""
    rho: Probability
    """Share of a class's training images whose background has the color of the class."""
    channels: Annotated[list[Count], msgspec.Meta(min_length=1)]
    """Of each convolution, in both networks."""
    kernel_f: Count
    """Side of the kernels of the network that is judged."""
    kernel_g: Count
    """Side of the kernels of the biased network."""
    train_images: Count
    """At most so many, also those held back for validation."""
    test_images: Count
    block: Annotated[int, msgspec.Meta(ge=1, le=28)]
    """Side of the squares of pixels that are reduced to their maximum."""

    def check(self, protocol: Protocol) -> None:
        for name in ("kernel_f", "kernel_g"):
            if getattr(self, name) % 2 == 0:
                raise TaskError(
                    f"protocol.settings.{name}: {getattr(self, name)} must be odd: the convolutions keep the size"
                )
        check_carved("train_images", self.train_images, protocol)
        left = self.train_images - carved(self.train_images, protocol)
        needed = FEWEST if protocol.micro_batches == 1 else protocol.batch
        if left < needed:
            raise TaskError(
                f"protocol.settings.train_images: {self.train_images} leave {left} to train on, less than one update's"
                f" {needed}; take more"
            )
