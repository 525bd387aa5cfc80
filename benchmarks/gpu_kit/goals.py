"""What a GPU should show, beside what the kit's measuring parts have seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gpu_kit.parts import OPTIMIZER_STEP, TRAINING_STEP, TRAINING_STEP_16, TRANSFORMER_XL

Rows = list[dict[str, Any]]


class Goal(NamedTuple):
    """A number that is to be at most, or at least, so much."""

    what: str
    bound: str
    """"at most" or "at least"."""
    value: float
    unit: str
    saved: str
    """The file of the part that measures it."""
    read: Callable[[Rows], float]
    """Takes it from the file's rows; raises StopIteration where they lack it."""


def row(rows: Rows, **wanted: str) -> dict[str, Any]:
    """Returns the first row with these values."""
    return next(row for row in rows if all(row[key] == value for key, value in wanted.items()))


def _step(rows: Rows, optimizer: str) -> dict[str, Any]:
    return row(rows, model="resnet50", optimizer=optimizer)


def _times_faster(rows: Rows) -> float:
    return _step(rows, "adamp AdamP")["milliseconds"] / _step(rows, "AdamP fused")["milliseconds"]


GOALS = (
    Goal("AdamP's fused step, of the time of torch's fused AdamW, ResNet-50", "at most", 1.5, "×", OPTIMIZER_STEP,
         lambda rows: _step(rows, "AdamP fused")["over_adamw_fused"]),
    Goal("AdamP's fused step, faster than the official package's", "at least", 8, "×", OPTIMIZER_STEP, _times_faster),
    Goal("AdamP's part of a training step of ResNet-50, batch 256", "at most", 2, "%", TRAINING_STEP,
         lambda rows: row(rows, optimizer="adamp")["optimizer_percent"]),
    Goal("AdamP's part of a training step of ResNet-50, batch 16", "at most", 15, "%", TRAINING_STEP_16,
         lambda rows: row(rows, optimizer="adamp")["optimizer_percent"]),
    Goal("training step of ResNet-50, as fast as timm's loop", "at least", 1.0, "×", TRAINING_STEP,
         lambda rows: row(rows, optimizer="adamp")["of_timm"]),
    Goal("training step of ResNet-50, as fast as torchvision's loop", "at least", 1.0, "×", TRAINING_STEP,
         lambda rows: row(rows, optimizer="adamp")["of_torchvision"]),
    Goal("Transformer-XL's tokens a second, of the reference algorithm's", "at least", 1.3, "×", TRANSFORMER_XL,
         lambda rows: row(rows, contender="reference")["over_ours"]),
)  # fmt: skip


class Seen(NamedTuple):
    """A goal and what has been measured of it, None where nothing has."""

    goal: Goal
    value: float | None

    @property
    def outcome(self) -> str:
        if self.value is None:
            return "not measured"
        met = self.value <= self.goal.value if self.goal.bound == "at most" else self.value >= self.goal.value
        return "met" if met else "missed"


def evaluate(output: Path) -> list[Seen]:
    """Returns all goals with what the files in `output` say of them."""
    return [Seen(goal, _value(goal, output / goal.saved)) for goal in GOALS]


def _value(goal: Goal, file: Path) -> float | None:
    try:
        return goal.read(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, StopIteration):  # its part has not come so far
        return None
