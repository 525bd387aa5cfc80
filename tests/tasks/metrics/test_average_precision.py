"""Average precision is that of pycocotools, also with crowds, empty images and gaps in the ids."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from optathlon.tasks.metrics.average_precision import NAMES, Detections, Objects, average_precision


def objects(*rows: tuple, crowd: tuple[int, ...] = ()) -> Objects:
    """rows: image, class, left, top, width, height."""
    table = np.array(rows, dtype=float).reshape(-1, 6)
    areas = table[:, 4] * table[:, 5]
    crowds = np.isin(np.arange(len(table)), crowd)
    return Objects(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:], areas, crowds)


def detections(*rows: tuple) -> Detections:
    """rows: image, class, left, top, width, height, score."""
    table = np.array(rows, dtype=float).reshape(-1, 7)
    return Detections(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:6], table[:, 6])


def by_pycocotools(image_ids: np.ndarray, present: Objects, detected: Detections) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        columns = zip(*(column.tolist() for column in present), strict=True)
        truth.dataset = {
            "images": [{"id": int(i)} for i in image_ids],
            "categories": [{"id": int(c)} for c in np.unique(present.classes)],
            "annotations": [
                {"id": n, "image_id": i, "category_id": c, "bbox": b, "area": a, "iscrowd": int(crowd)}
                for n, (i, c, b, a, crowd) in enumerate(columns, start=1)
            ],
        }
        truth.createIndex()
        rows = np.column_stack([detected.images, detected.boxes, detected.scores, detected.classes])
        evaluation = COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: 100 * v if v >= 0 else v for name, v in zip(NAMES, evaluation.stats[:6].tolist(), strict=True)}


def random_case(seed: int, images: int, classes: int, per_image: int) -> tuple[np.ndarray, Objects, Detections]:
    """Ids with gaps, some images empty, some crowds, boxes from a pixel up; detections near objects and anywhere."""
    random = np.random.default_rng(seed)
    ids = 3 * np.arange(images) + 17
    count = 4 * images

    def boxes(n: int) -> np.ndarray:
        return np.column_stack([random.uniform(-20, 400, (n, 2)), random.uniform(0, 15, (n, 2)) ** 2])

    present = Objects(
        images=random.choice(ids[::2], count),
        classes=7 * random.integers(0, classes, count),
        boxes=boxes(count),
        areas=random.uniform(1, 20000, count),
        crowd=random.random(count) < 0.05,
    )
    near = present.boxes + random.normal(0, 4, present.boxes.shape)
    near[:, 2:] = np.abs(near[:, 2:])
    anywhere = per_image * images - count
    detected = Detections(
        images=np.concatenate([present.images, random.choice(ids, anywhere)]),
        classes=np.concatenate([present.classes, 7 * random.integers(0, classes, anywhere)]),
        boxes=np.concatenate([near, boxes(anywhere)]),
        scores=np.round(random.random(count + anywhere), 3),  # with ties
    )
    return ids, present, detected


@pytest.mark.parametrize(("seed", "images", "classes", "each"), [(0, 30, 3, 20), (1, 12, 1, 150), (2, 60, 10, 8)])
def test_the_numbers_are_those_of_pycocotools(seed, images, classes, each) -> None:
    case = random_case(seed, images, classes, each)
    ours = average_precision(*case)
    assert list(ours) == list(NAMES)
    assert ours == pytest.approx(by_pycocotools(*case), abs=1e-9)
    assert 0 < ours["ap"] < 100


def test_all_found_exactly_is_100_percent_and_sizes_that_do_not_occur_are_minus_1() -> None:
    there = objects((5, 2, 10, 10, 20, 20), (5, 9, 40, 0, 60, 50), (8, 2, 0, 0, 30, 31))
    found = detections((5, 2, 10, 10, 20, 20, 0.9), (5, 9, 40, 0, 60, 50, 0.2), (8, 2, 0, 0, 30, 31, 0.1))
    scores = average_precision(np.array([5, 8, 11]), there, found)
    assert scores == pytest.approx(dict.fromkeys(NAMES, 100.0) | {"ap_large": -1.0})


def test_one_of_two_objects_found_is_half_and_an_iou_counts_up_to_its_thresholds() -> None:
    there = objects((1, 1, 0, 0, 10, 10), (2, 1, 0, 0, 10, 10))
    found = detections((1, 1, 0, 0, 10, 8, 0.5))  # IoU 0.8: right at 0.50, 0.55 ... 0.80, seven of ten
    scores = average_precision(np.array([1, 2]), there, found)
    half = 100 * 51 / 101  # of 101 recalls, those from 0 to 0.5
    assert scores["ap50"] == pytest.approx(half)
    assert scores["ap"] == pytest.approx(0.7 * half)


def test_what_is_found_in_a_crowd_is_neither_right_nor_wrong() -> None:
    present = objects((1, 1, 0, 0, 10, 10), (1, 1, 100, 0, 100, 100), crowd=(1,))
    inside = [(1, 1, 100 + 10 * i, 20, 10, 30, 0.9) for i in range(5)]
    assert average_precision(np.array([1]), present, detections(*inside, (1, 1, 0, 0, 10, 10, 0.5)))["ap"] == 100
    outside = (1, 1, 300, 20, 10, 30, 0.9)
    assert average_precision(np.array([1]), present, detections(outside, (1, 1, 0, 0, 10, 10, 0.5)))["ap"] == 50


def test_nothing_found_is_0_and_nothing_to_find_is_minus_1() -> None:
    there, ids = objects((1, 1, 0, 0, 10, 10)), np.array([1, 2])
    assert average_precision(ids, there, detections())["ap"] == 0
    assert average_precision(ids, objects(), detections((1, 1, 0, 0, 10, 10, 0.5)))["ap"] == -1
    assert average_precision(ids, objects(), detections())["ap"] == -1


def test_a_detection_in_an_image_without_objects_is_wrong() -> None:
    there = objects((1, 1, 0, 0, 10, 10))
    found = detections((1, 1, 0, 0, 10, 10, 0.5), (2, 1, 0, 0, 10, 10, 0.9))
    assert average_precision(np.array([1, 2]), there, found)["ap"] == 50
