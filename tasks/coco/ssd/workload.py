"""SSD on COCO, as AdamP trains it (Heo et al., ICLR 2021, section 4.2 and appendix E.3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optathlon.tasks.coco.detection import Detection, PhotoDetections
from optathlon.tasks.coco.layout import Annotations
from optathlon.tasks.coco.photos import Examples, as_corners, stacked
from optathlon.tasks.coco.settings import LAYOUTS, SsdSettings
from optathlon.tasks.coco.ssd.augmentation import FILL, random_view, recolored, whole_window
from optathlon.tasks.coco.ssd.decoding import decode
from optathlon.tasks.coco.ssd.loss import ssd_loss
from optathlon.tasks.coco.ssd.network import Outputs
from optathlon.tasks.coco.ssd.network import Ssd as Network
from optathlon.tasks.coco.ssd.priors import match, priors
from optathlon.tasks.coco.weights import find_vgg16_bn
from optathlon.tasks.images.files import open_photo
from optathlon.tasks.images.transforms import normalize
from optathlon.tasks.randomness import derive, generator
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch


class Ssd(Detection):
    """Boxes from priors. Crowds' boxes are not trained on, nor are images without a box of more than one pixel."""

    _heads = ("logits.", "corrections.")
    _without = " (those without a box of more than a pixel, crowds' aside, are left out)"

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        self._settings = SsdSettings.read(protocol)
        self._layout = LAYOUTS[self._settings.size]
        super().__init__(protocol, data, self._settings.size, **process)
        self._priors = priors(self._layout, self._settings.size).to(self.device)

    def _worth_training_on(self, images: Annotations) -> Annotations:
        def sides(index: int) -> np.ndarray:
            boxes, _ = trained_boxes(images, index)
            return boxes[:, 2:] - boxes[:, :2]

        return images.subset([index for index in range(len(images)) if (sides(index) > 1).all(1).any()])

    def _network(self, classes: int) -> nn.Module:
        s = self._settings
        net = Network(self._layout, s.channels, s.fc_channels, s.extra_share, classes)
        if s.weights == "imagenet":
            weights = torch.load(find_vgg16_bn(self.data), map_location="cpu", weights_only=True)
            features = {n.removeprefix("features."): w for n, w in weights.items() if n.startswith("features.")}
            net.trunk.load_state_dict(features)
        return net

    def _training(self, job: tuple[int, np.ndarray]) -> Examples:
        epoch, chosen = job
        parts = []
        for index in chosen.tolist():
            boxes, labels = trained_boxes(self._train, index)
            photo = open_photo(self._train.path(index))
            random = generator(self.seed, "view", epoch, index)
            window, kept = random_view(*photo.size, boxes, self._settings.size, random)
            photo = recolored(photo, derive(self.seed, "color", epoch, index))
            shown = window.boxes(boxes[kept]).clip(0, self._settings.size)
            parts.append((window.pixels(np.asarray(photo), FILL), shown, labels[kept]))
        return stacked(parts)

    def loss(self, batch: Batch, player: str) -> Tensor:
        """Cross-entropy with hard negatives, and smoothed absolute errors, in single precision."""
        pixels, boxes, labels, owners = map(self.on_device, batch.data)
        outputs = self.players["model"](normalize(pixels))
        with torch.autocast(self.device.type, enabled=False):
            boxes = boxes / self._settings.size
            matched = match(self._priors, boxes, owners, len(pixels), self._settings.overlap)
            outputs = Outputs(*(values.float() for values in outputs))
            return ssd_loss(outputs, matched, self._priors, boxes, labels, self._settings.negatives)

    def _detect(self, images: Annotations) -> Iterator[PhotoDetections]:
        size, most = self._settings.size, self._settings.evaluation_batch
        jobs = [range(i, min(i + most, len(images))) for i in range(0, len(images), most)]

        def fetch(chosen: range) -> Tensor:
            photos = (np.asarray(open_photo(images.path(i))) for i in chosen)
            return torch.stack([whole_window(p.shape[1], p.shape[0], size).pixels(p) for p in photos])

        for chosen, pixels in zip(jobs, self.load_all(fetch, jobs), strict=True):
            outputs = self.players["model"](normalize(self.on_device(pixels)))
            for index, boxes in zip(chosen, decode(Outputs(*(v.float() for v in outputs)), self._priors), strict=True):
                height, width = images.sizes[index].tolist()
                sides = torch.tensor([width, height] * 2).to(boxes.corners)
                yield PhotoDetections(index, boxes.corners * sides, boxes.scores, boxes.labels)


def trained_boxes(images: Annotations, index: int) -> tuple[np.ndarray, np.ndarray]:
    """The boxes of an image that are no crowd's and of which something lies within it, clipped to it: left, top, right,
    bottom in pixels (n, 4), and their labels (n,). Source: torchvision's references/detection/coco_utils.py."""
    rows = images.boxes_of(index)
    single = ~images.crowd[rows]
    boxes, labels = images.boxes[rows][single], images.labels[rows][single]
    height, width = images.sizes[index]
    shown = as_corners(boxes).clip(0, np.tile([width, height], 2))
    kept = (shown[:, 2:] > shown[:, :2]).all(1)
    return shown[kept], labels[kept]
