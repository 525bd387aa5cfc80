"""COCO's average precision of detected boxes, by faster-coco-eval; needs no torch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
NONE = -1.0  # what COCO's tools report where no object of a size exists
MOST = 100  # detections of one image that count


class Objects(NamedTuple):
    """What is there to be found, n objects."""

    images: np.ndarray
    """The id of the image that each is in, int (n,)."""
    classes: np.ndarray
    """int (n,)."""
    boxes: np.ndarray
    """Left, top, width, height in pixels, float (n, 4)."""
    areas: np.ndarray
    """Of the object, in pixels, by which it is small (below 32 x 32), medium or large (96 x 96 and above), (n,)."""
    crowd: np.ndarray
    """Detections inside a crowd's box are neither right nor wrong, bool (n,)."""


class Detections(NamedTuple):
    """What was found, n boxes."""

    images: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    """Left, top, width, height in pixels, float (n, 4)."""
    scores: np.ndarray


def average_precision(image_ids: np.ndarray, objects: Objects, detections: Detections) -> dict[str, float]:
    """COCO's average precision in percent by NAMES, over IoU 0.50 to 0.95, at 0.5, at 0.75, and by size of object.

    image_ids: all images of the split, also those without objects, in which every detection is wrong. A mean over
    classes is over those that have objects; where there are none at all, the number is -1, as of COCO's own tools. Of
    an image the 100 detections with the highest scores count; those of equal scores in the order given. Source: Lin et
    al. 2014 and pycocotools' COCOeval, whose numbers these are.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    classes = np.unique(np.concatenate([objects.classes, detections.classes]))
    truth = COCO(
        {
            "images": [{"id": number} for number in image_ids.tolist()],
            "categories": [{"id": number} for number in classes.tolist()],
            "annotations": _annotations(objects, "area", objects.areas, objects.crowd),
        }
    )
    results = COCO()
    results.dataset = truth.dataset | {
        "annotations": _annotations(detections, "score", detections.scores, np.zeros(len(detections.scores)))
    }
    results.createIndex()
    evaluation = COCOeval_faster(truth, results, iouType="bbox", print_function=_silent)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    values = evaluation.stats[: len(NAMES)]
    return {name: 100.0 * float(v) if v >= 0 else NONE for name, v in zip(NAMES, values, strict=True)}


def _annotations(boxes: Objects | Detections, name: str, values: np.ndarray, crowd: np.ndarray) -> list[dict[str, Any]]:
    """As COCO's tools have them, numbered from 1, because 0 is their sign for a box without a partner."""
    areas = values if name == "area" else boxes.boxes[:, 2] * boxes.boxes[:, 3]
    columns = zip(
        boxes.images.tolist(),
        boxes.classes.tolist(),
        boxes.boxes.tolist(),
        areas.tolist(),
        values.tolist(),
        crowd.astype(int).tolist(),
        strict=True,
    )
    return [
        {"id": i, "image_id": image, "category_id": kind, "bbox": box, "area": area, name: value, "iscrowd": crowded}
        for i, (image, kind, box, area, value, crowded) in enumerate(columns, start=1)
    ]


def _silent(*_: object) -> None:
    """The tools report their progress, which nobody asked for."""
