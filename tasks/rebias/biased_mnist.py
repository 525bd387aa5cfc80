"""ReBias on Biased-MNIST: digits whose color gives the label away in training, but not in the test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from optathlon.tasks.data.dataset import require
from optathlon.tasks.errors import TaskError
from optathlon.tasks.evaluation import batched, evaluating, split_of
from optathlon.tasks.metrics.classification import ClassificationScores, classification_scores
from optathlon.tasks.rebias.coloring import COLORINGS, assign_colors, digits
from optathlon.tasks.rebias.mnist.dataset import Mnist
from optathlon.tasks.rebias.networks import SimpleConvNet
from optathlon.tasks.rebias.painted import Painted, normalize
from optathlon.tasks.rebias.settings import FEWEST, BiasedMnistSettings
from optathlon.tasks.rebias.two_players import TwoPlayers
from optathlon.tasks.settings import carved
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch

EVALUATION_BATCH = 1000


class BiasedMnist(TwoPlayers):
    """Two-player training in which g's kernels are 1x1: it sees colors, but no shapes. Metrics: see `evaluate`."""

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        self.settings = s = BiasedMnistSettings.read(protocol)
        biased, model = SimpleConvNet(s.channels, s.kernel_g), SimpleConvNet(s.channels, s.kernel_f)
        super().__init__(protocol, data, s, biased=biased, model=model, **process)
        self.sigmas = dict.fromkeys(self.players, s.sigma)
        require(Mnist(), self.data)
        images, labels = digits(self.data, "train", s.train_images, s.block)
        held = carved(len(labels), protocol)
        self.train = Painted(images[held:], labels[held:], assign_colors(labels[held:], s.rho, "train"))
        if len(self.train) < FEWEST:
            raise TaskError(f"mnist: {len(self.train)} training images are too few, expected {FEWEST} or more")
        self.evaluated = {"test": digits(self.data, "test", s.test_images, s.block)}
        if held:
            self.evaluated["validation"] = images[:held], labels[:held]

    def tags(self, player: str) -> dict[str, set[str]]:
        """As Workload.tags, and which weights are followed by a batch norm, and which are the classifier's."""
        tags = super().tags(player)
        for place, (layer, follower) in enumerate(pairwise(self.players[player].get_submodule("extractor").children())):
            if isinstance(layer, nn.Conv2d) and isinstance(follower, nn.BatchNorm2d):
                tags[f"extractor.{place}.weight"].add("scale_invariant")
        for name in ("fc.weight", "fc.bias"):
            tags[name].add("head")
        return tags

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Images (n, 3, side, side) in [-1, 1] and labels (n,); a last batch too small for HSIC is left out."""
        pieces = self.micro_batches(len(self.train), epoch)
        for index, taken in self.load_share(self.train.take, pieces, start):
            yield Batch(self._ready(taken), index, len(pieces), len(pieces[index]))

    def _ready(self, taken: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        painted, labels = taken
        return normalize(self.on_device(painted)), self.on_device(labels)

    def evaluate(self, split: str) -> dict[str, float]:
        """f's accuracy in % with each of COLORINGS, and its cross-entropy in nats where colors say nothing."""
        images, labels = split_of(self.evaluated, split)
        with evaluating(self.players["model"]):
            scores = {
                name: self._measure(Painted(images, labels, assign_colors(labels, rho, split)))
                for name, rho in COLORINGS.items()
            }
        return {name: s.accuracies[1] for name, s in scores.items()} | {"loss": scores["unbiased"].loss}

    def _measure(self, painted: Painted) -> ClassificationScores:
        net = self.players["model"]
        ready = (self._ready(painted.take(indices)) for indices in batched(len(painted), EVALUATION_BATCH))
        return classification_scores(((net(images)[0], labels) for images, labels in ready), self.device)
