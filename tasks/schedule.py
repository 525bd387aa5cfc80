"""Learning-rate schedules: pure functions from time to a factor on each group's initial rate."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

Time = Annotated[float, msgspec.Meta(ge=0)]
Factor = Annotated[float, msgspec.Meta(ge=0)]


class _Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    per: Literal["epoch", "update"] = "epoch"
    """How often the factor may change."""
    warmup: Time = 0.0
    """For so long the factor rises linearly from `warmup_start` to 1, whatever the kind."""
    warmup_start: Factor = 0.0

    def factor(self, time: float, length: float) -> float:
        """The factor at `time` of a run that is `length` long, both in the protocol's unit (epochs or steps)."""
        if self.per == "epoch":
            time = math.floor(time)
        if time < self.warmup:
            return self.warmup_start + (1.0 - self.warmup_start) * time / self.warmup
        return self._after_warmup(time, length)

    def _after_warmup(self, time: float, length: float) -> float:
        raise NotImplementedError


def _check_ascending(milestones: Sequence[float]) -> None:
    if any(first >= second for first, second in itertools.pairwise(milestones)):
        raise ValueError(f"milestones {list(milestones)} must ascend")


class Constant(_Schedule, frozen=True, tag="constant"):
    def _after_warmup(self, time: float, length: float) -> float:
        return 1.0


class Step(_Schedule, frozen=True, tag="step"):
    """Times `gamma` every `every` units (torch's StepLR)."""

    every: Annotated[float, msgspec.Meta(gt=0)]
    gamma: Factor = 0.1

    def _after_warmup(self, time: float, length: float) -> float:
        return self.gamma ** math.floor(time / self.every)


class MultiStep(_Schedule, frozen=True, tag="multistep"):
    """Times `gamma` at each of the ascending `milestones` (torch's MultiStepLR)."""

    milestones: tuple[Time, ...]
    gamma: Factor = 0.1

    def __post_init__(self) -> None:
        _check_ascending(self.milestones)

    def _after_warmup(self, time: float, length: float) -> float:
        return self.gamma ** bisect.bisect_right(self.milestones, time)


class Piecewise(_Schedule, frozen=True, tag="piecewise"):
    """`factors[i]` from `milestones[i - 1]` (0 for the first) until `milestones[i]`."""

    milestones: tuple[Time, ...]
    factors: tuple[Factor, ...]

    def __post_init__(self) -> None:
        if len(self.factors) != len(self.milestones) + 1:
            raise ValueError("a piecewise schedule has one factor more than milestones")
        _check_ascending(self.milestones)

    def _after_warmup(self, time: float, length: float) -> float:
        return self.factors[bisect.bisect_right(self.milestones, time)]


class Cosine(_Schedule, frozen=True, tag="cosine"):
    """Half a cosine from 1 to `floor` over the whole run, not shifted by a warm-up (torch's CosineAnnealingLR)."""

    floor: Factor = 0.0

    def _after_warmup(self, time: float, length: float) -> float:
        return self.floor + (1.0 - self.floor) * (1.0 + math.cos(math.pi * min(1.0, time / length))) / 2.0


class CosineWithCooldown(_Schedule, frozen=True, tag="cosine_with_cooldown"):
    """Half a cosine from 1 to `floor` until `cooldown` before the end, not shifted by a warm-up; then `floor`.

    timm's CosineLRScheduler, of which a run's last `cooldown_epochs` are at the least rate.
    """

    floor: Factor = 0.0
    cooldown: Time = 0.0

    def _after_warmup(self, time: float, length: float) -> float:
        if time >= length - self.cooldown:
            return self.floor
        return self.floor + (1.0 - self.floor) * (1.0 + math.cos(math.pi * time / (length - self.cooldown))) / 2.0


class Linear(_Schedule, frozen=True, tag="linear"):
    """A straight line from 1 to `floor` over the whole run (torch's LinearLR)."""

    floor: Factor = 0.0

    def _after_warmup(self, time: float, length: float) -> float:
        return 1.0 + (self.floor - 1.0) * min(1.0, time / length)


Schedule = Constant | Step | MultiStep | Piecewise | Cosine | CosineWithCooldown | Linear
