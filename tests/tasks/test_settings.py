"""Typed settings name what is wrong: the field, its value, what would be right."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest

from optathlon.tasks import Protocol, TaskError
from optathlon.tasks.settings import Count, DropRate, Settings


class Some(Settings, frozen=True, kw_only=True):
    holdouts: ClassVar = ("carved", "none")
    least_micro_batch: ClassVar = 2
    least_because: ClassVar = "a pair is compared"

    kind: Literal["wide", "deep"]
    drop: DropRate
    widths: list[Count]

    def check(self, protocol: Protocol) -> None:
        if self.kind == "deep" and len(self.widths) < 2:
            raise TaskError(f"protocol.settings.widths: {self.widths} are too few for kind deep, expected 2 or more")


RIGHT: dict[str, Any] = {"kind": "wide", "drop": 0.5, "widths": [8]}


def protocol(settings: dict[str, Any], **changes: Any) -> Protocol:
    return Protocol(length=1, batch=4, settings=settings, **changes)


def test_right_ones_are_read():
    settings = Some.read(protocol(RIGHT, micro_batch=2, holdout="carved"))
    assert (settings.kind, settings.drop, settings.widths) == ("wide", 0.5, [8])
    assert Some.read(protocol(RIGHT | {"drop": 0})).drop == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "wid"}, r"protocol\.settings\.kind: unknown 'wid' \(did you mean wide\?\)"),
        ({"drop": 1.0}, r"protocol\.settings\.drop: Expected `float` < 1\.0, not 1\.0"),
        ({"drop": float("nan")}, r"protocol\.settings\.drop: Expected `float` >= 0\.0, not nan"),
        ({"drop": "half"}, r"protocol\.settings\.drop: Expected `float`, got `str` 'half'"),
        ({"widths": [8, 0]}, r"protocol\.settings\.widths\[1\]: Expected `int` >= 1, not 0"),
        ({"width": 8}, r"protocol\.settings\.width: unknown \(did you mean widths\?\)"),
        ({"kind": "deep"}, r"protocol\.settings\.widths: \[8\] are too few for kind deep, expected 2 or more"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(TaskError, match=message):
        Some.read(protocol(RIGHT | settings))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"holdout": "published"}, r"protocol\.holdout: no validation split is published, expected carved or none"),
        ({"micro_batch": 1}, r"protocol\.micro_batch: 1 is too small, a pair is compared"),
    ],
)
def test_a_protocol_that_does_not_suit_the_data_is_refused(changes, message):
    with pytest.raises(TaskError, match=message):
        Some.read(protocol(RIGHT, **changes))


def test_a_missing_setting_is_named():
    with pytest.raises(TaskError, match=r"protocol\.settings: .*`drop`"):
        Some.read(protocol({"kind": "wide", "widths": [8]}))
