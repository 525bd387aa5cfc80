"""CenterNet on COCO, as AdamP trains it (Heo et al., ICLR 2021, section 4.2 and appendix E.3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from optathlon.tasks.coco.centernet.augmentation import (
    fixed_window,
    random_tint,
    random_window,
    tinted,
    untinted,
    whole_window,
)
from optathlon.tasks.coco.centernet.decoding import decode
from optathlon.tasks.coco.centernet.loss import centernet_loss
from optathlon.tasks.coco.centernet.network import CenterNet as Network
from optathlon.tasks.coco.centernet.network import Outputs
from optathlon.tasks.coco.centernet.targets import targets
from optathlon.tasks.coco.detection import Detection, PhotoDetections
from optathlon.tasks.coco.layout import Annotations
from optathlon.tasks.coco.photos import Examples, Window, as_corners, stacked
from optathlon.tasks.coco.settings import CenterNetSettings
from optathlon.tasks.coco.weights import find_resnet18
from optathlon.tasks.images.files import open_photo
from optathlon.tasks.randomness import generator
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch


class Tinted(NamedTuple):
    """A micro-batch, and how each of its photos is recolored (n, 6)."""

    examples: Examples
    tints: Tensor


class CenterNet(Detection):
    """Objects as points. Crowds' boxes count as objects and images without boxes are trained on, as in its code."""

    _heads = ("heatmap.", "sizes.", "offsets.")

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        self._settings = CenterNetSettings.read(protocol)
        super().__init__(protocol, data, self._settings.size, **process)

    def _network(self, classes: int) -> nn.Module:
        s = self._settings
        net = Network(s.channels, s.blocks, s.upsampling, s.up_channels, s.head_channels, classes)
        if s.weights == "imagenet":
            weights = torch.load(find_resnet18(self.data), map_location="cpu", weights_only=True)
            net.backbone.load_state_dict({n: w for n, w in weights.items() if not n.startswith("fc.")})
        return net

    def _training(self, job: tuple[int, np.ndarray]) -> Tinted:
        epoch, chosen = job
        parts, tints = [], []
        for index in chosen.tolist():
            random = generator(self.seed, "cut", epoch, index)
            photo = np.asarray(open_photo(self._train.path(index)))
            window = random_window(photo.shape[1], photo.shape[0], self._settings.size, random)
            tints.append(random_tint(random).row())
            shown = self._train.boxes_of(index)
            shown = slice(shown.start, min(shown.stop, shown.start + self._settings.max_objects))
            boxes = window.boxes(as_corners(self._train.boxes[shown]))
            parts.append((window.pixels(photo), boxes, self._train.labels[shown]))
        return Tinted(stacked(parts), torch.tensor(tints))

    def loss(self, batch: Batch, player: str) -> Tensor:
        """The heatmap's focal loss and the absolute errors of sizes and offsets, in single precision."""
        examples: Examples = batch.data.examples
        examples = examples._replace(pixels=self.on_device(examples.pixels))  # the boxes stay: see `targets`
        outputs = self.players["model"](tinted(examples.pixels, self.on_device(batch.data.tints)))
        with torch.autocast(self.device.type, enabled=False):
            wanted = targets(examples, outputs.heatmap.shape[1])
            return centernet_loss(Outputs(*(maps.float() for maps in outputs)), wanted, self._settings.wh_weight)

    def _window(self, images: Annotations, index: int) -> Window:
        height, width = images.sizes[index].tolist()
        if self._settings.keep_resolution:
            return whole_window(width, height)
        return fixed_window(width, height, self._settings.size)

    def _detect(self, images: Annotations) -> Iterator[PhotoDetections]:
        """Photos whose inputs are of one size go through the network together."""
        windows = [self._window(images, index) for index in range(len(images))]
        by_size: dict[tuple[int, int], list[int]] = {}
        for index, window in enumerate(windows):
            by_size.setdefault((window.width, window.height), []).append(index)
        size = self._settings.evaluation_batch
        jobs = [same[i : i + size] for same in by_size.values() for i in range(0, len(same), size)]

        def fetch(chosen: list[int]) -> Tensor:
            photos = ((self._window(images, i), open_photo(images.path(i))) for i in chosen)
            return torch.stack([window.pixels(np.asarray(photo)) for window, photo in photos])

        for chosen, pixels in zip(jobs, self.load_all(fetch, jobs), strict=True):
            outputs = self.players["model"](untinted(self.on_device(pixels)))
            boxes = decode(Outputs(*(maps.float() for maps in outputs)))
            for place, index in enumerate(chosen):
                yield PhotoDetections(
                    index, _back(boxes.corners[place], windows[index]), boxes.scores[place], boxes.labels[place]
                )


def _back(corners: Tensor, window: Window) -> Tensor:
    """Boxes in pixels of the input, in those of the photo."""
    scale = torch.from_numpy(np.tile(window.scale, 2)).to(corners)
    return corners / scale + torch.tensor([window.left, window.top] * 2).to(corners)
