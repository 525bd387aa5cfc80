"""Crowds, thin boxes, boxes beyond borders and photos without any."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optathlon import tasks
from optathlon.tasks.coco import layout
from optathlon.tasks.coco.ssd.workload import trained_boxes
from optathlon.tasks.data.dataset import prepare
from optathlon.tasks.errors import TaskError
from tests.tasks.coco.workloads import CENTERNET, SSD, make, small


def test_crowds_are_objects_to_centernet_and_nothing_to_ssd(data) -> None:
    train, _ = layout.read_both(data / "coco")
    crowded = int(np.searchsorted(train.starts, train.crowd.nonzero()[0][0], side="right")) - 1
    boxes, labels = trained_boxes(train, crowded)
    assert len(boxes) == len(labels) == (~train.crowd[train.boxes_of(crowded)]).sum()
    centernet = make(data, small(CENTERNET, settings={"train_images": 0}), CENTERNET)
    ssd = make(data, small(SSD, settings={"train_images": 0}), SSD)
    assert len(centernet._train) == len(train) == 200
    assert len(ssd._train) == train.subset(range(len(train))).with_boxes - sum(
        bool(train.crowd[train.boxes_of(i)].all()) for i in range(len(train)) if len(train.labels[train.boxes_of(i)])
    )
    given = train.boxes_of(crowded)
    assert len(centernet._training((0, np.array([crowded]))).examples.labels) == given.stop - given.start


def edited(data: Path, root: Path, change: Callable[[Any], Any], added: Sequence[list[float]] = ()) -> None:
    """The miniature, prepared below `root`, with each annotation changed, and boxes added beside each image's first."""
    (root / "coco" / "annotations").mkdir(parents=True)
    for part in ("train2017", "val2017"):
        (root / "coco" / part).symlink_to(data / "coco" / part)
        content = json.loads((data / "coco" / "annotations" / f"instances_{part}.json").read_bytes())
        first = {annotation["image_id"]: annotation for annotation in reversed(content["annotations"])}
        for annotation in content["annotations"]:
            change(annotation)
        for number, (one, box) in enumerate((one, box) for one in first.values() for box in added):
            content["annotations"].append({**one, "id": 10**6 + number, "bbox": box})
        (root / "coco" / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
    prepare(tasks.dataset("coco"), root)


def test_images_whose_boxes_are_at_most_a_pixel_wide_are_left_out_of_ssd_alone(data, tmp_path) -> None:
    flat: dict[int, list[float]] = {}
    for split in layout.read_both(data / "coco"):
        flat |= dict(zip(split.ids[:2].tolist(), ([3, 4, 0, 5], [3, 4, 1, 90]), strict=True))
    edited(data, tmp_path, lambda one: one.update(bbox=flat.get(one["image_id"], one["bbox"])))
    for name, fewer in ((SSD, 2), (CENTERNET, 0)):
        before = make(data, small(name, settings={"train_images": 0}), name)
        live = make(tmp_path, small(name, settings={"train_images": 0}), name)
        assert len(before._train) - len(live._train) == fewer
        loss = live.loss(next(live.batches(0)), "model")
        assert loss.isfinite()
        assert live.evaluate("test")["ap"] >= 0


def test_a_split_with_crowds_alone_trains_centernet_and_is_refused_by_ssd(data, tmp_path) -> None:
    edited(data, tmp_path, lambda annotation: annotation.update(iscrowd=1))
    live = make(tmp_path, small(CENTERNET), CENTERNET)
    assert live.loss(next(live.batches(0)), "model").isfinite()
    assert live.evaluate("test")["ap"] == -1, "there is nothing that could be found"
    with pytest.raises(TaskError, match=r"0 training images \(those without a box of more than a pixel, crowds' aside"):
        make(tmp_path, small(SSD), SSD)


def test_boxes_thinner_than_any_pixel_beyond_any_border_and_larger_than_any_photo_can_be_trained_on(
    data, tmp_path
) -> None:
    """Beside a usable one in each photo, as SSD leaves photos without such a box out."""
    odd = [[33.3, 20.7, 1e-6, 1e-6], [33.3, 20.7, 9, 1e-7], [-50, -50, 10, 10], [1e6, 5, 9, 9], [-1e6, -1e6, 3e6, 3e6]]
    edited(data, tmp_path, lambda annotation: annotation.update(bbox=[20, 10, 40, 50]), added=odd)
    for name in (CENTERNET, SSD):
        live = make(tmp_path, small(name), name)
        losses = [live.loss(batch, "model") for batch in (*live.batches(0), *live.batches(1))]
        assert all(loss.isfinite() for loss in losses)
        sum(losses, torch.zeros(())).backward()
        assert all(p.grad.isfinite().all() for p in live.players["model"].parameters() if p.grad is not None)
        assert 0 <= live.evaluate("test")["ap"] <= 100


def test_a_batch_without_objects_can_be_descended(data) -> None:
    for name in (CENTERNET, SSD):
        live = make(data, small(name), name)
        batch = next(live.batches(0))
        examples = batch.data.examples if name == CENTERNET else batch.data
        none = examples._replace(**{part: getattr(examples, part)[:0] for part in ("boxes", "labels", "owners")})
        empty = batch.data._replace(examples=none) if name == CENTERNET else none
        object.__setattr__(batch, "data", empty)
        loss = live.loss(batch, "model")
        loss.backward()
        assert loss.isfinite()
