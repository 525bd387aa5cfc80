"""Adversarial training on CIFAR-10, as AdamP does it (Heo et al., ICLR 2021, section 4.3 and appendix E.4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from optathlon.tasks.cifar.attack import Attack, attacked
from optathlon.tasks.cifar.batch_statistics import BeforeUpdate
from optathlon.tasks.cifar.cifar10 import layout
from optathlon.tasks.cifar.cifar10.dataset import Cifar10, find
from optathlon.tasks.cifar.pixels import Augmented, Images
from optathlon.tasks.cifar.settings import SHADES, THREATS, AdversarialSettings, Threat
from optathlon.tasks.cifar.wide_resnet import WideResNet
from optathlon.tasks.data.dataset import require
from optathlon.tasks.data.loading import split
from optathlon.tasks.data.places import folder_of
from optathlon.tasks.evaluation import Totals, batched, evaluating, split_of
from optathlon.tasks.metrics.classification import correct
from optathlon.tasks.randomness import shuffled
from optathlon.tasks.settings import carved, require_batch
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch, Workload

STANDARD, LOSS = "standard", "loss"


class AdversarialCifar10(Workload):
    """A wide residual network trained on attacked images alone, judged on clean and on attacked ones.

    The training attack sees the network in eval mode and starts at random; the evaluated ones start at the image.
    Metrics: `standard` and one `attacked_...` per test attack of the `threat`, accuracies in percent, and `loss`, the
    cross-entropy in nats under the first of these attacks.
    """

    threat: ClassVar[Threat]

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        super().__init__(protocol, data, **process)
        s = self._settings = AdversarialSettings.read(protocol)
        require(Cifar10(), self.data)
        train = self._images("train", s.train_images)
        held = carved(len(train.labels), protocol)
        self._train = train.after(held)
        if protocol.micro_batches > 1:  # else the last, short batch is trained on as well
            require_batch(len(self._train.labels), "images", protocol, "more protocol.settings.train_images")
        self._evaluated = {"test": self._images("test", s.test_images)}
        if held:
            self._evaluated["validation"] = train.first(held)
        self.net = WideResNet(s.depth, s.widen, s.stem).to(self.device)
        self._statistics = BeforeUpdate(self.net)
        self.players = {"model": self.net}

    def _images(self, name: str, most: int) -> Images:
        pixels, labels = layout.read(find(folder_of(self.data, Cifar10.name)), name)
        return Images(layout.shrink(pixels[:most], self._settings.block), labels[:most])

    @property
    def training_attack(self) -> Attack:
        """The attack that every training image goes through."""
        s = self._settings
        return Attack(
            norm=self.threat.norm,
            epsilon=s.epsilon / SHADES,
            steps=s.steps,
            step_size=s.step_size / SHADES,
            step_rule=s.step_rule,
            random_start=True,
        )

    @property
    def evaluation_attacks(self) -> dict[str, Attack]:
        """The attacks on evaluated images by their metric."""
        s = self._settings
        return {
            name: Attack(
                norm=self.threat.norm,
                epsilon=reach.epsilon / SHADES,
                steps=reach.steps,
                step_size=s.evaluation_step_size / SHADES,
                step_rule=s.step_rule,
            )
            for name, reach in self.threat.evaluated.items()
        }

    def tags(self, player: str) -> dict[str, set[str]]:
        """As Workload.tags, and which convolutions are scale-invariant, and the head."""
        tags = super().tags(player)
        for name in self.net.scale_invariant:
            tags[name].add("scale_invariant")
        for leaf in ("weight", "bias"):
            tags[f"head.{leaf}"].add("head")
        return tags

    def start_epoch(self, epoch: int, resuming: bool) -> None:
        """Micro-batches are numbered anew."""
        self._statistics.forget()

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Images (n, 3, side, side) in [0, 1], cut and mirrored at random, and labels (n,)."""
        micro_batches = split(
            shuffled(len(self._train.labels), self.seed, epoch),
            self.protocol.micro_batch_size,
            self.protocol.micro_batches,
        )
        augmented = Augmented(self._train, self.seed, epoch)
        for index, taken in self.load_share(augmented.take, micro_batches, start):
            yield Batch(self._ready(taken), index, len(micro_batches), len(micro_batches[index]))

    def _ready(self, taken: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        pixels, labels = taken
        return self.on_device(pixels).float() / SHADES, self.on_device(labels)

    def loss(self, batch: Batch, player: str) -> Tensor:
        """Cross-entropy on the attacked images. The attack sees the batch-norm statistics of before this update and
        does not move them; the pass over the attacked images does."""
        images, labels = batch.data
        with self._statistics.as_before(batch.index // self.protocol.micro_batches):
            images = attacked(self.net, images, labels, self.training_attack)
        return F.cross_entropy(self.net(images), labels)

    def evaluate(self, split: str) -> dict[str, float]:
        """Accuracies in % on clean images and under each attack, and the loss under the first attack."""
        images, attacks = split_of(self._evaluated, split), self.evaluation_attacks
        headline = next(iter(attacks))
        totals = Totals(self.device)
        with evaluating(self.net):
            for chosen in batched(len(images.labels), self.protocol.micro_batch_size):
                clean, labels = self._ready(images.take(chosen))
                right = {STANDARD: correct(self.net(clean), labels)}
                for name, attack in attacks.items():
                    logits = self.net(attacked(self.net, clean, labels, attack))
                    right[name] = correct(logits, labels)
                    if name == headline:
                        right[LOSS] = F.cross_entropy(logits.float(), labels, reduction="sum")
                totals.add(len(chosen), **right)
        return {name: value if name == LOSS else 100.0 * value for name, value in totals.means().items()}


class Linf4(AdversarialCifar10):
    threat = THREATS["linf4"]


class L2(AdversarialCifar10):
    threat = THREATS["l2"]


class Linf8(AdversarialCifar10):
    threat = THREATS["linf8"]
