"""Typed settings name what is wrong: the field, its value, what would be right."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest

from optathlon.tasks import Protocol, TaskError
from optathlon.tasks.settings import Count, DropRate, Settings, carved, check_carved, check_crop, require_batch


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


@pytest.mark.parametrize("field", ["length", "batch", "evaluate_every"])
def test_counts_beyond_32_bits_are_refused_before_anything_begins(field):
    with pytest.raises(TaskError, match=rf"protocol\.{field}: .*<= 2147483647"):
        protocol(RIGHT).override({field: 2**70})


def test_numbers_that_float32_has_not_are_refused_before_anything_begins():
    with pytest.raises(TaskError, match=r"protocol\.clip_norm: .*<= 3e\+?38"):
        protocol(RIGHT).override({"clip_norm": 1e300})


def test_a_missing_setting_is_named():
    with pytest.raises(TaskError, match=r"protocol\.settings: .*`drop`"):
        Some.read(protocol({"kind": "wide", "widths": [8]}))


def test_a_tenth_is_carved_and_nothing_without_a_validation_split():
    assert carved(129, protocol(RIGHT, holdout="carved")) == 12
    assert carved(129, protocol(RIGHT)) == 0


def test_a_carved_split_of_nothing_is_refused():
    check_carved("photos", 10, protocol(RIGHT, holdout="carved"))
    check_carved("photos", 9, protocol(RIGHT))
    message = r"^protocol\.settings\.photos: one in 10 is for validation, and 9 training samples leave none; take more$"
    with pytest.raises(TaskError, match=message):
        check_carved("photos", 9, protocol(RIGHT, holdout="carved"))


def test_a_batch_that_training_does_not_fill_is_refused_with_what_helps():
    require_batch(4, "clips", protocol(RIGHT), "more words")
    message = r"^protocol\.batch: 4 is more than the 3 training clips; take a smaller batch, or more words$"
    with pytest.raises(TaskError, match=message):
        require_batch(3, "clips", protocol(RIGHT), "more words")


def test_a_crop_is_within_the_photo_and_large_enough_for_the_network():
    check_crop(5, 5, least=5)
    with pytest.raises(TaskError, match=r"^protocol\.settings\.crop: 6 is more than resize, which is 5$"):
        check_crop(6, 5)
    with pytest.raises(
        TaskError, match=r"^protocol\.settings\.crop: 4 is less than the 5 pixels that the network needs$"
    ):
        check_crop(4, 5, least=5)
