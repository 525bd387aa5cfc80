"""What both detectors have in common: the images of COCO, in batches, and the average precision of what is found."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from optathlon.tasks.coco.dataset import Coco
from optathlon.tasks.coco.images import objects, splits
from optathlon.tasks.coco.layout import Annotations
from optathlon.tasks.data.dataset import require
from optathlon.tasks.data.loading import split
from optathlon.tasks.evaluation import evaluating, split_of
from optathlon.tasks.images.scale_invariance import normalized_weights
from optathlon.tasks.metrics.average_precision import Detections, average_precision
from optathlon.tasks.randomness import shuffled
from optathlon.tasks.settings import require_batch
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch, Workload


class PhotoDetections(NamedTuple):
    """The boxes that a network detects in one photo."""

    image: int
    """Its place in the split."""
    corners: Tensor
    """Left, top, right, bottom in the photo's pixels (n, 4)."""
    scores: Tensor
    labels: Tensor


class Detection(Workload):
    """A detector on COCO. Subclasses give the network, its view of photos, the loss and the way back to boxes.

    Metrics: COCO's average precision in percent (`average_precision`). TaskError for settings that cannot run,
    DataError for data or weights that are missing or broken.
    """

    _heads: tuple[str, ...]
    """How the names of the heads' parameters begin."""
    _without: str = ""
    """Which images of the split are not trained on, for messages."""

    def __init__(self, protocol: Protocol, data: Path, size: int, **process: Any) -> None:
        super().__init__(protocol, data, **process)
        self._size = size  # of a training input, in pixels
        require(Coco(), self.data)
        chosen = splits(protocol, self.data)
        self._evaluated = chosen.evaluated
        self._train = self._worth_training_on(chosen.train)
        kind = f"images{self._without}"
        require_batch(len(self._train), kind, protocol, "more protocol.settings.train_images")
        self.players = {"model": self._network(len(chosen.train.categories)).to(self.device)}

    def _worth_training_on(self, images: Annotations) -> Annotations:
        return images

    @abstractmethod
    def _network(self, classes: int) -> nn.Module:
        """The network as it begins, on the CPU."""

    @abstractmethod
    def _training(self, job: tuple[int, np.ndarray]) -> Any:
        """What `loss` needs of the training images at `job[1]`, as they are seen in epoch `job[0]`."""

    @abstractmethod
    def _detect(self, images: Annotations) -> Iterator[PhotoDetections]:
        """What the network, which is in eval mode, finds in each of `images`, in any order."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Randomly chosen training images; the last, short batch is left out."""
        order = shuffled(len(self._train), self.seed, epoch)
        micro_batches = split(order, self.protocol.micro_batch_size, self.protocol.micro_batches, drop_last=True)
        for index, data in self.load_share(self._training, [(epoch, chosen) for chosen in micro_batches], start):
            yield Batch(data=data, index=index, of=len(micro_batches), size=self.protocol.micro_batch_size)

    def evaluate(self, split: str) -> dict[str, float]:
        """COCO's average precision of all boxes found in the split, in percent, by `average_precision`'s names."""
        images = split_of(self._evaluated, split)
        with evaluating(self.players["model"]):
            rows = [_rows(one, images) for one in self._detect(images)]
        return average_precision(images.ids, objects(images), _joined(rows))

    def tags(self, player: str) -> dict[str, set[str]]:
        """As Workload.tags; the weights before a batch norm, which takes out their scale; the heads."""
        tags, net = super().tags(player), self.players[player]
        image = torch.zeros(1, 3, self._size, self._size, device=self.device)
        for name in normalized_weights(net, image):
            tags[name].add("scale_invariant")
        for name in tags:
            if name.startswith(self._heads):
                tags[name].add("head")
        return tags


def _rows(detected: PhotoDetections, images: Annotations) -> np.ndarray:
    """(n, 7): image id, class, left, top, width, height, score. What is not a number is not found."""
    corners = detected.corners.double().cpu().numpy()
    columns = [
        np.full(len(corners), images.ids[detected.image]),
        detected.labels.cpu().numpy(),
        *corners[:, :2].T,
        *(corners[:, 2:] - corners[:, :2]).T,
        detected.scores.double().cpu().numpy(),
    ]
    rows = np.stack(columns, axis=1)
    return rows[np.isfinite(rows).all(1)]


def _joined(parts: list[np.ndarray]) -> Detections:
    rows = np.concatenate([np.empty((0, 7)), *parts])
    return Detections(rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), rows[:, 2:6], rows[:, 6])
