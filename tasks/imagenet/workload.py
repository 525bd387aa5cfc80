"""ImageNet classification, as AdamP (Heo et al., ICLR 2021, section 4.1, appendices D, E.2) and AdaRem train it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from optathlon.tasks.data.dataset import require
from optathlon.tasks.data.loading import split
from optathlon.tasks.data.places import folder_of
from optathlon.tasks.evaluation import batched, evaluating, split_of
from optathlon.tasks.imagenet.ilsvrc2012.dataset import ILSVRC2012
from optathlon.tasks.imagenet.ilsvrc2012.layout import NAME, read
from optathlon.tasks.imagenet.networks import build
from optathlon.tasks.imagenet.settings import ImageNetSettings
from optathlon.tasks.imagenet.splits import first, split_photos
from optathlon.tasks.images.color import Colors, draw_colors, recolor
from optathlon.tasks.images.erasing import draw_rectangle, erase
from optathlon.tasks.images.mixing import Mix, draw_cutmix, draw_mixup, mix
from optathlon.tasks.images.photos import PhotoIndex
from optathlon.tasks.images.pictures import Cuts, Pictures
from optathlon.tasks.images.rand_augment import RandAugment
from optathlon.tasks.images.scale_invariance import normalized_weights
from optathlon.tasks.images.transforms import normalize
from optathlon.tasks.metrics.classification import classification_scores
from optathlon.tasks.randomness import generator, shuffled
from optathlon.tasks.settings import require_batch
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch, Workload

SAME_EACH_TIME = -1  # the "epoch" whose cuts train_loss is taken over


class Shown(NamedTuple):
    """A micro-batch: bytes (n, 3, crop, crop), labels (n,), and what is still to be done to it on the device."""

    pixels: Tensor
    labels: Tensor
    colors: Colors | None
    rectangles: Tensor | None
    mix: Mix | None


class Augmented(NamedTuple):
    """Training photos and all that is random in showing them: functions of (seed, epoch, place) alone."""

    pictures: Pictures
    settings: ImageNetSettings
    parts: int
    """Micro-batches in a batch."""

    def __call__(self, job: tuple[int, int, np.ndarray]) -> Shown:
        """The micro-batch of `job`: epoch, number in the epoch, places of its photos."""
        epoch, number, chosen = job
        pixels, labels = self.pictures.training((epoch, chosen))
        colors, rectangles = self._colors(epoch, chosen), self._rectangles(epoch, chosen)
        return Shown(pixels, labels, colors, rectangles, self._mix(epoch, number, len(chosen)))

    def _colors(self, epoch: int, chosen: np.ndarray) -> Colors | None:
        if not (self.settings.jitter or self.settings.lighting):
            return None
        return draw_colors(self.settings.jitter, self.settings.lighting, self._randoms("colors", epoch, chosen))

    def _rectangles(self, epoch: int, chosen: np.ndarray) -> Tensor | None:
        s = self.settings
        if not s.erasing:
            return None
        randoms = self._randoms("erasing", epoch, chosen)
        return torch.tensor([draw_rectangle(s.crop, s.erasing, random) for random in randoms])

    def _mix(self, epoch: int, number: int, count: int) -> Mix | None:
        s = self.settings
        if s.mixing == "none" or (s.mixing_epochs and epoch >= s.mixing_epochs):
            return None
        random = generator(self.pictures.seed, "mixing", epoch, number)
        if s.mixing == "mixup":  # as each of timm's processes draws its own
            return draw_mixup(count, s.mixing_alpha, random)
        of_batch = generator(self.pictures.seed, "box", epoch, number // self.parts)
        return draw_cutmix(count, s.crop, s.mixing_alpha, of_batch, random)

    def _randoms(self, what: str, epoch: int, chosen: np.ndarray) -> list[np.random.Generator]:
        return [generator(self.pictures.seed, what, epoch, int(index)) for index in chosen]


class ImageNet(Workload):
    """A classifier of photos.

    Metrics: `accuracy` and `top5` in percent and `loss` on the split; `train_loss`, the mean cross-entropy of the same
    weights over training photos, cut as in training and the same each time; `norm_last`, the mean norm of the filters
    of scale-invariant weights (AdamP, tables 1 and H.6), and `norm_first`, what it was after the first epoch. TaskError
    for a batch larger than the data, DataError for data that is missing or broken.
    """

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        super().__init__(protocol, data, **process)
        self.settings = s = ImageNetSettings.read(protocol)
        require(ILSVRC2012(), self.data)
        splits = split_photos(read(folder_of(self.data, NAME)), s, carve=protocol.holdout == "carved")
        self._train, self._evaluated = splits.train, splits.evaluated
        require_batch(len(self._train), "photos", protocol, "more protocol.settings.classes or training_photos")
        net = build(
            s.network, len(splits.classes), width=s.width, depth=s.depth, dropout=s.dropout, drop_path=s.drop_path
        )
        self._invariant = normalized_weights(net, torch.zeros(1, 3, s.crop, s.crop))
        self.players = {"model": net.to(self.device)}
        self._norm_first: float | None = None
        """The filters' norm after the first epoch; None in it."""
        self.lay_out(torch.channels_last)  # as tensor cores want it, and as CPUs are faster with, too

    def _pictures(self, photos: PhotoIndex) -> Pictures:
        s = self.settings
        policy = RandAugment(s.randaugment, s.randaugment_deviation) if s.randaugment else None
        cuts = Cuts(s.resize, s.crop, s.smallest_crop, s.interpolation, s.training_interpolation, s.draft, policy)
        return Pictures(photos, cuts, self.seed)

    def tags(self, player: str) -> dict[str, set[str]]:
        """As Workload.tags, the last layer as head, and the weights that a batch norm follows as scale-invariant."""
        tags = super().tags(player)
        net = self.players[player]
        head = [path for path, module in net.named_modules() if isinstance(module, nn.Linear)][-1]
        for leaf in ("weight", "bias"):
            tags[f"{head}.{leaf}"].add("head")
        for name in self._invariant:
            tags[name].add("scale_invariant")
        return tags

    def start_epoch(self, epoch: int, resuming: bool) -> None:
        """Keep the filters' norm after the first epoch."""
        if epoch == 1 and not resuming:
            self._norm_first = self._filter_norm()

    def state_dict(self) -> dict[str, Any]:
        return {} if self._norm_first is None else {"norm_first": self._norm_first}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._norm_first = state.get("norm_first")

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """`Shown` micro-batches of randomly chosen photos; the last, short one is left out."""
        order = shuffled(len(self._train), self.seed, epoch)
        micro_batches = split(order, self.protocol.micro_batch_size, self.protocol.micro_batches, drop_last=True)
        jobs = [(epoch, number, chosen) for number, chosen in enumerate(micro_batches)]
        augmented = Augmented(self._pictures(self._train), self.settings, self.protocol.micro_batches)
        for index, data in self.load_share(augmented, jobs, start):
            yield Batch(data=data, index=index, of=len(micro_batches), size=self.protocol.micro_batch_size)

    def loss(self, batch: Batch, player: str) -> Tensor:
        """Cross-entropy, smoothed and over mixed labels as the settings say, in single precision."""
        shown: Shown = batch.data
        labels, smoothing = self.on_device(shown.labels), self.settings.label_smoothing
        logits = self.players["model"](self._images(shown))
        with torch.autocast(self.device.type, enabled=False):
            logits = logits.float()
            loss = cross_entropy(logits, labels, label_smoothing=smoothing)
            if shown.mix is None:
                return loss
            others = labels[self.on_device(shown.mix.partner)]
            other = cross_entropy(logits, others, label_smoothing=smoothing)
            return shown.mix.share * loss + (1.0 - shown.mix.share) * other

    def _images(self, shown: Shown) -> Tensor:
        """Normalized pictures, recolored, mixed and then erased, as the recipes order it."""
        images = self.on_device(shown.pixels)
        if shown.colors is not None:
            images = recolor(images.float() / 255, shown.colors)
        images = normalize(images, self.memory_format)
        if shown.mix is not None:
            images = mix(images, shown.mix)
        if shown.rectangles is not None:
            images = erase(images, shown.rectangles)
        return images.contiguous(memory_format=self.memory_format)

    def evaluate(self, split: str) -> dict[str, float]:
        """The metrics on `split`, of the middles of all its photos."""
        photos, net = split_of(self._evaluated, split), self.players["model"]
        with evaluating(net):
            scores = classification_scores(self._outputs(photos), self.device, (1, 5))
            train = classification_scores(self._training_outputs(), self.device)
        return {
            "accuracy": scores.accuracies[1],
            "top5": scores.accuracies[5],
            "loss": scores.loss,
            "train_loss": train.loss,
            "norm_first": self._filter_norm() if self._norm_first is None else self._norm_first,
            "norm_last": self._filter_norm(),
        }

    def _outputs(self, photos: PhotoIndex) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits and labels of the middles of `photos`."""
        pictures = self._pictures(photos)
        jobs = batched(len(pictures.photos), self.settings.evaluation_batch)
        yield from map(self._predicted, self.load_all(pictures.evaluation, jobs))

    def _training_outputs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits and labels of training photos, cut as in training."""
        pictures = self._pictures(first(self._train, self.settings.train_loss_photos))
        jobs = [(SAME_EACH_TIME, chosen) for chosen in batched(len(pictures.photos), self.settings.evaluation_batch)]
        yield from map(self._predicted, self.load_all(pictures.training, jobs))

    def _predicted(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        pixels, labels = map(self.on_device, batch)
        return self.players["model"](normalize(pixels, self.memory_format)), labels

    @torch.no_grad()
    def _filter_norm(self) -> float:
        named = dict(self.players["model"].named_parameters())
        filters = [named[name].detach().float().flatten(1).norm(dim=1) for name in sorted(self._invariant)]
        return float(torch.cat(filters).mean())
