"""Tasks and protocols describe themselves, and refuse what does not fit."""

from __future__ import annotations

import pytest

from optathlon import tasks
from optathlon.tasks import Protocol, Select, TaskError
from optathlon.tasks.schedule import Cosine, Step

BASE = Protocol(length=3, batch=8, settings={"width": 8, "rate": 0.5, "widths": [1, 2]})
BEST = Select(metric="loss", higher_is_better=False)


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_is_complete(name):
    task = tasks.task(name)
    assert set(task.protocols) == set(tasks.SCALES)
    assert task.summary
    assert task.source
    assert task.version is not None
    for protocol in task.protocols.values():
        metrics = {m.name for m in task.metrics}
        assert protocol.select is None or protocol.select.metric in metrics
        assert set(protocol.settings) == set(task.protocols["paper"].settings), "scales differ in values, not in kinds"


def test_names_match_wildcards():
    assert tasks.names("biased-mnist-*") == [f"biased-mnist-{rho}" for rho in ("0.999", "0.997", "0.995", "0.990")]


def test_an_unknown_task_gets_a_suggestion():
    with pytest.raises(TaskError, match=r"unknown task 'ptb-awd-lsm' \(did you mean ptb-awd-lstm\?\)"):
        tasks.task("ptb-awd-lsm")


def test_overrides_merge_deeply_and_keep_the_rest():
    changed = BASE.override({"length": 5, "settings": {"width": 16}, "schedule": {"kind": "step", "every": 2}})
    assert changed.settings == {"width": 16, "rate": 0.5, "widths": [1, 2]}
    assert changed.schedule == Step(every=2)
    assert changed.override({"schedule": {"gamma": 0.5}}).schedule == Step(every=2, gamma=0.5)
    assert BASE.override({"schedule": {"kind": "cosine"}}).schedule == Cosine()
    assert BASE.override({"settings": {"rate": 1}}).settings["rate"] == 1.0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"lenght": 1}, r"protocol.lenght: unknown \(did you mean length\?\)"),
        ({"settings": {"widht": 1}}, r"protocol.settings.widht: unknown \(did you mean width\?\)"),
        ({"settings": {"width": 1.5}}, r"protocol.settings.width: 1.5 must be of type int"),
        ({"settings": {"width": True}}, r"protocol.settings.width: True must be of type int"),
        ({"settings": 3}, r"protocol.settings: "),
        ({"length": "x"}, r"protocol.length: Expected `int`, got `str`"),
        ({"length": 0}, r"protocol.length: Expected `int` >= 1"),
        ({"batch": -8}, r"protocol.batch: Expected `int` >= 1"),
        ({"micro_batch": 3}, r"batch 8 must be a multiple of micro_batch 3"),
        ({"micro_batch": 0}, r"protocol.micro_batch: Expected `int` >= 1"),
        ({"schedule": {"kind": "cosin"}}, r"protocol.schedule.kind: unknown 'cosin' \(did you mean cosine"),
        ({"schedule": {"kind": "step"}}, r"protocol.schedule: .*every"),
        ({"schedule": {"kind": "step", "every": 0}}, r"protocol.schedule.every: Expected `float` > 0"),
        ({"precision": "fp8"}, r"protocol.precision: unknown 'fp8'"),
        ({"checkpoint": "best"}, r"need a validation split"),
        ({"holdout": "published", "checkpoint": "best"}, r"need `select`"),
        ({"watch": ["validation"]}, r"watch names validation, but holdout is none"),
        ({"watch": ["train"]}, r"protocol.watch\[0\]: unknown 'train'"),
        (
            {"select": {"metric": "loss", "higher_is_better": False, "start": 10**6}},
            r"select.start 1000000 must lie between 0 and length \d+",
        ),
        ({"ema": 1.5}, r"protocol.ema: Expected `float` < 1"),
        ({"clip_norm": -1.0}, r"protocol.clip_norm: Expected `float` > 0"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes, expected):
    with pytest.raises(TaskError, match=expected):
        BASE.override(changes)


def test_a_validation_split_is_carved_only_where_none_is_published():
    assert BASE.with_validation().holdout == "carved"
    published = BASE.override({"holdout": "published", "watch": ["validation"]})
    assert published.with_validation() is published


def test_parts_of_an_update():
    assert (BASE.micro_batch_size, BASE.micro_batches) == (8, 1)
    divided = BASE.override({"micro_batch": 2})
    assert (divided.micro_batch_size, divided.micro_batches) == (2, 4)
