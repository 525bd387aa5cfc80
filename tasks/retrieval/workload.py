"""Retrieval of unseen classes, as AdamP trains it (Heo et al., ICLR 2021, section 4.6 and appendix E.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from optathlon.tasks.data.dataset import Dataset, require
from optathlon.tasks.data.loading import split
from optathlon.tasks.data.places import folder_of
from optathlon.tasks.evaluation import batched, evaluating, split_of
from optathlon.tasks.images.photos import Photo, PhotoIndex, Splits
from optathlon.tasks.images.pictures import Cuts, Pictures
from optathlon.tasks.images.transforms import normalize
from optathlon.tasks.metrics.recall import recall_at
from optathlon.tasks.randomness import generator, shuffled
from optathlon.tasks.retrieval import RECALLS
from optathlon.tasks.retrieval.datasets import cars, cub, inshop, sop
from optathlon.tasks.retrieval.losses import proxy_anchor, semihard_triplets
from optathlon.tasks.retrieval.networks import Embedder, resnet50, small
from optathlon.tasks.retrieval.settings import RetrievalSettings, held_back
from optathlon.tasks.settings import require_batch
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch, Workload


class Retrieval(Workload):
    """An embedding in which photos of one class lie near each other, for classes that training has not seen.

    Metrics: `recall@K` in percent. Random batches, a learning backbone after `warmup` epochs, batch statistics that
    never move, and with Proxy-Anchor a vector for each training class among the parameters. Every rank evaluates the
    whole split. TaskError for a batch larger than the data, DataError for data or weights that are missing or broken.
    """

    dataset: ClassVar[type[Dataset]]
    read: ClassVar[Callable[[Path], Splits]]

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        super().__init__(protocol, data, **process)
        self.settings = s = RetrievalSettings.read(protocol)
        name = self.dataset.name
        require(self.dataset(), self.data)
        self._ks = RECALLS[name]
        splits = type(self).read(folder_of(self.data, name))
        train = _first_classes(splits.train, s.training_classes)
        gallery = None if splits.gallery is None else self._first(splits.gallery)
        self._evaluated = {"test": (self._first(splits.query), gallery)}
        if protocol.holdout == "carved":
            held = _held_back([p.label for p in train], name)
            self._evaluated["validation"] = (PhotoIndex.of([p for p in train if p.label in held]), None)
            train = [p for p in train if p.label not in held]
        self._train = PhotoIndex.of(_renumbered(train))
        require_batch(len(self._train), "photos", protocol, "more protocol.settings.training_classes")
        self.players = {"model": self._network().to(self.device)}

    def _first(self, photos: Sequence[Photo]) -> PhotoIndex:
        return PhotoIndex.of(_first_classes(photos, self.settings.evaluation_classes))

    def _network(self) -> Embedder:
        s = self.settings
        backbone = resnet50(self.data) if s.backbone == "resnet50" else small(s.channels)
        channels = 2048 if s.backbone == "resnet50" else s.channels[-1]
        classes = 1 + max(p.label for p in self._train) if s.loss == "proxyanchor" else None
        return Embedder(backbone, channels, s.embedding, classes)

    def _pictures(self, photos: Sequence[Photo]) -> Pictures:
        s = self.settings
        return Pictures(photos, Cuts(s.resize, s.crop, s.smallest_crop), self.seed)

    def tags(self, player: str) -> dict[str, set[str]]:
        """As Workload.tags, and the embedding as head and the proxies, of which only the direction counts.

        With frozen statistics no weight of the backbone is scale-invariant; the embedding's and its bias are together.
        """
        tags = super().tags(player)
        for leaf in ("weight", "bias"):
            tags[f"embedding.{leaf}"].add("head")
        if "proxies" in tags:
            tags["proxies"] |= {"proxy", "scale_invariant"}
        return tags

    def start_epoch(self, epoch: int, resuming: bool) -> None:
        """In the first `warmup` epochs the backbone is frozen."""
        for parameter in self.players["model"].get_submodule("backbone").parameters():
            parameter.requires_grad_(epoch >= self.settings.warmup)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Bytes (n, 3, crop, crop) and labels (n,) of randomly chosen photos; the last, short batch is left out."""
        order = shuffled(len(self._train), self.seed, epoch)
        micro_batches = split(order, self.protocol.micro_batch_size, self.protocol.micro_batches, drop_last=True)
        jobs = [(epoch, chosen) for chosen in micro_batches]
        for index, data in self.load_share(self._pictures(self._train).training, jobs, start):
            yield Batch(data=data, index=index, of=len(micro_batches), size=self.protocol.micro_batch_size)

    def loss(self, batch: Batch, player: str) -> Tensor:
        """Semi-hard triplets or Proxy-Anchor, in single precision."""
        pixels, labels = batch.data
        net, s, labels = self.players["model"], self.settings, self.on_device(labels)
        embeddings = net(normalize(self.on_device(pixels)))
        with torch.autocast(self.device.type, enabled=False):
            if s.loss == "triplet":
                return semihard_triplets(embeddings, labels, s.margin)
            return proxy_anchor(embeddings, labels, net.get_parameter("proxies"), s.margin, s.alpha)

    def evaluate(self, split: str) -> dict[str, float]:
        """`recall@K` for the data set's K: each photo of the split looks among the others, or in the gallery."""
        query, gallery = split_of(self._evaluated, split)
        with evaluating(self.players["model"]):
            embeddings, labels = self._embed(query)
            recalls = recall_at(self._ks, embeddings, labels, None if gallery is None else self._embed(gallery))
        return {f"recall@{k}": recall for k, recall in recalls.items()}

    def _embed(self, photos: Sequence[Photo]) -> tuple[Tensor, Tensor]:
        """Embeddings (n, d) and labels (n,)."""
        jobs = batched(len(photos), self.settings.evaluation_batch)
        loaded = self.load_all(self._pictures(photos).evaluation, jobs)
        net = self.players["model"]
        pairs = [(net(normalize(self.on_device(pixels))), self.on_device(labels)) for pixels, labels in loaded]
        embeddings, labels = zip(*pairs, strict=True)
        return torch.cat(embeddings), torch.cat(labels)


class Cub(Retrieval):
    dataset, read = cub.Cub, cub.read


class Cars(Retrieval):
    dataset, read = cars.Cars, cars.read


class InShop(Retrieval):
    dataset, read = inshop.InShop, inshop.read


class Sop(Retrieval):
    dataset, read = sop.Sop, sop.read


def _first_classes(photos: Sequence[Photo], most: int) -> list[Photo]:
    """The photos of the first `most` classes (0: all)."""
    labels = set(sorted({p.label for p in photos})[: most or None])
    return [p for p in photos if p.label in labels]


def _held_back(labels: Sequence[int], name: str) -> set[int]:
    """The classes of the carved validation split, the same for every seed."""
    classes = sorted(set(labels))
    random = generator(name, "validation")
    return {classes[i] for i in random.permutation(len(classes))[: held_back(len(classes))]}


def _renumbered(photos: Sequence[Photo]) -> list[Photo]:
    """The photos with classes numbered from 0 without gaps."""
    numbers = {label: n for n, label in enumerate(sorted({p.label for p in photos}))}
    return [Photo(p.path, numbers[p.label]) for p in photos]
