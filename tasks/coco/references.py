"""What a detector scores that looks at no photo. Needs no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from optathlon.tasks.coco.images import objects, splits
from optathlon.tasks.coco.layout import Annotations
from optathlon.tasks.metrics.average_precision import Detections, average_precision
from optathlon.tasks.task import Protocol


def mean_boxes(protocol: Protocol, data: Path) -> dict[str, dict[str, float]]:
    """In every image the mean box of each category, in shares of the image's sides, scored by the share of training
    images that have the category: what is known of a photo before one looks at it."""
    chosen = splits(protocol, data)
    boxes, scores, labels = _typical(chosen.train)
    measured = {}
    for split, images in chosen.evaluated.items():
        sides = np.tile(images.sizes[:, ::-1], 2)[:, None]
        detections = Detections(
            images=np.repeat(images.ids, len(labels)),
            classes=np.tile(labels, len(images)),
            boxes=(boxes * sides).reshape(-1, 4),
            scores=np.tile(scores, len(images)),
        )
        scored = average_precision(images.ids, objects(images), detections)
        measured |= {f"{split}/{name}": value for name, value in scored.items()}
    return {"mean boxes": measured}


def _typical(images: Annotations) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each category with objects its mean box in shares (c, 4), the share of images with it, its class (both c,)."""
    owners = np.repeat(np.arange(len(images)), np.diff(images.starts))
    single = ~images.crowd
    shares = images.boxes[single] / np.tile(images.sizes[owners[single]][:, ::-1], 2)
    labels, owners = images.labels[single], owners[single]
    known = np.unique(labels)
    boxes = np.array([shares[labels == label].mean(0) for label in known]).reshape(-1, 4)
    scores = np.array([len(np.unique(owners[labels == label])) / len(images) for label in known])
    return boxes, scores, known
