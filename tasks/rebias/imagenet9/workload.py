"""ReBias on nine classes of ImageNet: a ResNet-18 trained to differ from a network that sees textures only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from optathlon.tasks.data.dataset import require
from optathlon.tasks.data.places import folder_of
from optathlon.tasks.errors import TaskError
from optathlon.tasks.evaluation import batched, evaluating, split_of
from optathlon.tasks.images.photos import Photo, PhotoIndex
from optathlon.tasks.images.pictures import Cuts, Pictures
from optathlon.tasks.images.scale_invariance import normalized_weights
from optathlon.tasks.images.transforms import normalize
from optathlon.tasks.randomness import generator
from optathlon.tasks.rebias.bandwidth import Bandwidths
from optathlon.tasks.rebias.imagenet9 import layout
from optathlon.tasks.rebias.imagenet9.dataset import ImageNet9, ImageNetA, read_imagenet_a
from optathlon.tasks.rebias.imagenet9.networks import BagNet, FeaturedResNet
from optathlon.tasks.rebias.imagenet9.settings import ImageNet9Settings
from optathlon.tasks.rebias.imagenet9.unbiased import cells, unbiased_accuracy
from optathlon.tasks.rebias.two_players import TwoPlayers
from optathlon.tasks.settings import carved, require_batch
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch


class ImageNet9ReBias(TwoPlayers):
    """BagNet-18 ("biased") against ResNet-18 ("model"), with HSIC kernels as wide as the features' median distance.

    Metrics of the latter: `biased`, accuracy on the photos for validation; `unbiased`, the mean over their cells of
    class and texture; `imagenet_a`, accuracy on ImageNet-A's; `loss` in nats. A carved validation split has neither
    textures nor ImageNet-A: there `unbiased` is the mean over classes and `imagenet_a` the accuracy.
    """

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        s = self._settings = ImageNet9Settings.read(protocol)
        biased, model = BagNet(s.width), FeaturedResNet(s.width)
        super().__init__(protocol, data, s, biased=biased, model=model, **process)
        for dataset in (ImageNet9(), ImageNetA()):
            require(dataset, self.data)
        nine = layout.read(folder_of(self.data, ImageNet9.name))
        train = _of_each_class(nine.train, s.train_images)
        held = carved(len(train), protocol)
        self._train, self._clusters = PhotoIndex.of(train[held:]), nine.clusters
        self._evaluated = {"test": PhotoIndex.of(nine.val)}
        if held:
            self._evaluated["validation"] = PhotoIndex.of(train[:held])
        self._hard = PhotoIndex.of(read_imagenet_a(folder_of(self.data, ImageNetA.name)))
        require_batch(len(self._train), "photos", protocol, "more protocol.settings.train_images")
        labels = np.array([photo.label for photo in nine.val])
        for number, clusters in enumerate(self._clusters, start=1):
            if (most := cells(labels, clusters).max()) < s.smallest_cell:
                raise TaskError(
                    f"protocol.settings.smallest_cell: {s.smallest_cell} is more than the {most} photos of the"
                    f" largest cell of class and cluster{number}"
                )

    def tags(self, player: str) -> dict[str, set[str]]:
        """As Workload.tags, and which weights are scale-invariant, and the head."""
        tags = super().tags(player)
        side = self._settings.crop
        for name in normalized_weights(self.players[player], torch.zeros(1, 3, side, side, device=self.device)):
            tags[name].add("scale_invariant")
        for name in ("fc.weight", "fc.bias"):
            tags[name].add("head")
        return tags

    def _pictures(self, photos: Sequence[Photo]) -> Pictures:
        s = self._settings
        return Pictures(photos, Cuts(s.resize, s.crop, s.smallest_crop), self.seed)

    def start_epoch(self, epoch: int, resuming: bool) -> None:
        """Takes the kernels' widths from the first batches of the epoch; a resumed epoch has them already.

        Every process goes through all of these batches, so that each gets the same widths and batch-norm statistics.
        """
        if resuming:
            return
        pieces = self.micro_batches(len(self._train), epoch)
        sampled = pieces[: int(len(pieces) * self._settings.sampled) + 1]
        jobs = [(epoch, piece) for piece in sampled]
        loaded = self.load_all(self._pictures(self._train).training, jobs)
        distances = Bandwidths()
        with torch.no_grad():
            for taken in loaded:
                images, _ = self._ready(taken)
                distances.add({player: net(images)[1] for player, net in self.players.items()})
        self.sigmas = distances.medians()

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Photos (n, 3, crop, crop), cut at random and normalized, and labels (n,)."""
        pieces = self.micro_batches(len(self._train), epoch)
        jobs = [(epoch, piece) for piece in pieces]
        for index, taken in self.load_share(self._pictures(self._train).training, jobs, start):
            yield Batch(self._ready(taken), index, len(pieces), len(pieces[index]))

    def _ready(self, taken: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        pixels, labels = taken
        return normalize(self.on_device(pixels)), self.on_device(labels)

    def evaluate(self, split: str) -> dict[str, float]:
        """Accuracies in % and the loss in nats, as the class says."""
        labels, right, loss = self._judged(split_of(self._evaluated, split))
        if split == "test":
            _, hard, _ = self._judged(self._hard)
            unbiased = unbiased_accuracy(right, labels, self._clusters, self._settings.smallest_cell)
        else:
            hard, one_cluster = right, np.zeros((1, len(labels)), np.int64)
            unbiased = unbiased_accuracy(right, labels, one_cluster, least=1)
        return {
            "unbiased": unbiased,
            "biased": 100.0 * float(right.mean()),
            "imagenet_a": 100.0 * float(hard.mean()),
            "loss": loss,
        }

    def _judged(self, photos: Sequence[Photo]) -> tuple[np.ndarray, np.ndarray, float]:
        """Labels (n,), which of them the model gets right (n,), and its mean cross-entropy."""
        net, jobs = self.players["model"], batched(len(photos), self.protocol.micro_batch_size)
        with evaluating(net):
            loaded = self.load_all(self._pictures(photos).evaluation, jobs)
            outputs = [(net(images)[0].float(), labels) for images, labels in map(self._ready, loaded)]
            logits, labels = (torch.cat(parts) for parts in zip(*outputs, strict=True))
            loss, right = cross_entropy(logits, labels), logits.argmax(1) == labels
        return labels.cpu().numpy(), right.cpu().numpy(), float(loss)

    def state_dict(self) -> dict[str, Any]:
        return {"sigmas": dict(self.sigmas)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.sigmas = dict(state["sigmas"])


def _of_each_class(photos: Sequence[Photo], most: int) -> list[Photo]:
    """At most `most` photos of each class (0: all), in a fixed shuffled order."""
    order = generator("imagenet9", "order").permutation(len(photos))
    chosen: list[Photo] = []
    counts: Counter[int] = Counter()
    for index in order:
        photo = photos[index]
        counts[photo.label] += 1
        if not most or counts[photo.label] <= most:
            chosen.append(photo)
    return chosen
