"""A recorded run as trackers see one: a name, a setting, scores, and curves over time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from optathlon.results.record import Record, hyperparameters

NO_SWEEP = "no sweep"
"""Under which runs stand that no sweep plans."""
STEPS_PER_EPOCH = 1000
"""Trackers count whole steps, and curves have points within epochs: a step is a thousandth of an epoch."""

LONGEST_FILE_NAME = 150
"""File systems take 255 bytes, and a seed, a role and a run's id may follow a row's name, which has no limit."""


class TrackedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One finished or diverged run at one place: a run that two sweeps share is tracked in both."""

    record: Record
    sweep: str
    row: str
    """Its row on the sweep's board; of a run that no sweep plans, the optimizer."""
    role: str
    """What the sweep has it for, "tune" or "report"; "" without a sweep."""

    @property
    def name(self) -> str:
        """Tells it from all others in the sweep, for people."""
        role = f", {self.role}" if self.role else ""
        return f"{self.record.problem['task']}, {self.row}, seed {self.record.seed}{role}"

    @property
    def settings(self) -> dict[str, Any]:
        """What is compared: the hyperparameters by their names, and what a tracker may filter by."""
        problem, setting = self.record.problem, self.record.setting
        about = {"task": problem["task"], "scale": problem["scale"], "optimizer": setting["optimizer"]}
        about |= {"row": self.row, "role": self.role, "seed": self.record.seed, "status": self.record.status}
        return {**hyperparameters(setting), **about, "run": self.record.id}

    @property
    def scores(self) -> dict[str, float]:
        """The recorded scores; NaN where a diverged run has none."""
        return {score.name: _number(score.value) for score in self.record.scores}

    def points(self) -> Iterator[tuple[str, float, int, float]]:
        """Yields (curve, time in the protocol's unit, whole step, value) in the order of recording."""
        scale = STEPS_PER_EPOCH if self.record.curve.unit == "epochs" else 1
        for curve, points in self.record.curve.points.items():
            for time, value in points:
                yield curve, time, round(time * scale), _number(value)


def tracked(records: Mapping[str, Record], places: Iterable[Mapping[str, Any]]) -> list[TrackedRun]:
    """Returns a tracked run per place of `places` (run, sweep, row, role), whose runs are in `records`."""
    return [
        TrackedRun(
            record=records[place["run"]],
            sweep=place["sweep"] or NO_SWEEP,
            row=place["row"] or str(records[place["run"]].setting["optimizer"]),
            role=place["role"] or "",
        )
        for place in places
    ]


def file_name(text: str) -> str:
    """Returns `text` with what a folder's name cannot have everywhere replaced, cut to LONGEST_FILE_NAME bytes."""
    short = re.sub(r"[^\w.,=+@ -]", "_", text).encode()[:LONGEST_FILE_NAME].decode(errors="ignore")
    return short.strip(" .") or "_"


def _number(value: float | None) -> float:
    return math.nan if value is None else value
