"""Music tagging and sound events with a Harmonic CNN, as AdamP trains it (Heo et al., ICLR 2021, section 4.4 and
appendix E.5) and as Won et al. 2020 evaluate it: several tags a clip, windows of it, sixteen of them at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from optathlon.tasks.audio import published_splits, recordings
from optathlon.tasks.audio.dcase2017.dataset import Dcase2017
from optathlon.tasks.audio.harmonic_cnn import HarmonicCNN, harmonic_cnn_tags
from optathlon.tasks.audio.mtat.dataset import MagnaTagATune
from optathlon.tasks.audio.pooling import MUSIC_TAGS, SOUND_EVENTS, Pools
from optathlon.tasks.audio.settings import MusicTaggingSettings, SoundEventSettings, TaggingSettings
from optathlon.tasks.audio.windows import Windows
from optathlon.tasks.data.dataset import Dataset, require
from optathlon.tasks.data.loading import load, split
from optathlon.tasks.data.places import folder_of
from optathlon.tasks.errors import DataError, TaskError, did_you_mean
from optathlon.tasks.evaluation import Totals, batched, evaluating
from optathlon.tasks.metrics.tagging import average_precision, f1_scores, roc_auc
from optathlon.tasks.randomness import generator, shuffled
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch, Workload


class Estimates(NamedTuple):
    """What a network makes of a split."""

    truth: np.ndarray
    """Which tags each clip has: bool (clips, tags)."""
    probabilities: np.ndarray
    """Of each tag, the mean over a clip's windows: float32 (clips, tags)."""
    loss: float
    """Mean binary cross-entropy in nats, over all windows and tags."""


class Tagging(Workload):
    """A Harmonic CNN that says how probable each of several tags is in a clip.

    Each epoch has one window of each training clip, at a random place. Evaluation averages the probabilities of
    several windows of each clip, and every rank evaluates the whole split. TaskError for settings that do not fit the
    data, DataError for data that is missing, broken or not the published.
    """

    dataset: ClassVar[type[Dataset]]
    pools: ClassVar[Pools]
    settings_type: ClassVar[type[TaggingSettings]]

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        super().__init__(protocol, data, **process)
        self.settings = s = self.settings_type.read(protocol)
        require(self.dataset(), self.data)
        getattr(published_splits, self.dataset.name)(protocol, self.data)
        folder = folder_of(self.data, self.dataset.name)
        found, samples = recordings.read(folder), recordings.samples(folder)
        tags = min(s.tags, len(found.tags))
        self._splits: dict[str, Windows] = {}
        for name, clips in found.splits.items():
            some = recordings.some(self.dataset.name, name, clips, s.most(name))
            self._splits[name] = Windows(samples, some, recordings.truth(some, tags), s.input_length)
        if (count := len(self._splits["training"])) < protocol.batch:
            raise TaskError(
                f"protocol.batch: {protocol.batch} is more than the {count} training clips; take a smaller batch, or"
                " more protocol.settings.training_clips"
            )
        net = HarmonicCNN(tags, self.pools, channels=s.channels, n_fft=s.n_fft, dropout=s.dropout)
        self.players = {"model": net.to(self.device)}

    def _windows(self, split: str) -> Windows:
        if split not in self._splits:
            raise TaskError(f"split: unknown {split!r}{did_you_mean(split, self._splits)}")
        return self._splits[split]

    def tags(self, player: str) -> dict[str, set[str]]:
        """As Workload.tags, and which weights are followed by a batch norm, and which are the classifier's."""
        return harmonic_cnn_tags(super().tags(player), self.players[player])

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Windows (n, input_length) at random places of randomly chosen clips, and their tags, bool (n, tags)."""
        windows = self._splits["training"]
        places = generator(self.seed, "windows", epoch).random(len(windows))
        order = shuffled(len(windows), self.seed, epoch)
        parts = split(order, self.protocol.part, self.protocol.parts, drop_last=True)
        for index, data in self.load_share(windows.at_random, [(part, places[part]) for part in parts], start):
            yield Batch(data=data, index=index, of=len(parts), size=self.protocol.part)

    def loss(self, batch: Batch, player: str) -> Tensor:
        """The mean binary cross-entropy over clips and tags, from logits and in single precision."""
        waves, tags = batch.data
        return binary_cross_entropy_with_logits(self._logits(waves), tags.to(self.device).float())

    def _logits(self, waves: Tensor) -> Tensor:
        return self.players["model"](waves.to(self.device)).float()

    def estimate(self, split: str) -> Estimates:
        """What the network makes of the clips of `split`."""
        windows, s = self._windows(split), self.settings
        jobs = [(part, s.windows) for part in batched(len(windows), s.evaluation_batch)]
        totals, probabilities = Totals(self.device), []
        with evaluating(self.players["model"]):
            for waves, tags in load(windows.evenly, jobs, self.data_workers):
                logits = self._logits(waves).unflatten(0, (-1, s.windows))
                truth = tags.to(self.device).float()[:, None].expand_as(logits)
                loss = binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((1, 2)).sum()
                totals.add(len(tags), loss=loss)
                probabilities.append(logits.sigmoid().mean(1).cpu())
        return Estimates(windows.labels, torch.cat(probabilities).numpy(), totals.means()["loss"])


class MusicTagging(Tagging):
    """Tags of music: metrics `roc_auc` and `pr_auc`, macro averages in percent, and `loss` in nats."""

    dataset, pools, settings_type = MagnaTagATune, MUSIC_TAGS, MusicTaggingSettings

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        super().__init__(protocol, data, **process)
        for name in ("validation", "test"):
            truth = self._splits[name].labels
            for tag in np.flatnonzero(truth.all(0) | ~truth.any(0)):
                many = "all" if truth[0, tag] else "none"
                raise DataError(
                    f"protocol.settings: {many} of the {len(truth)} {name} clips have tag number {tag}, which so has no"
                    " ROC curve; take fewer tags or more evaluation_clips"
                )

    def evaluate(self, split: str) -> dict[str, float]:
        """`roc_auc` and `pr_auc` of the windows' mean probabilities, and the windows' mean `loss`."""
        estimates = self.estimate(split)
        return {
            "roc_auc": 100.0 * roc_auc(estimates.truth, estimates.probabilities),
            "pr_auc": 100.0 * average_precision(estimates.truth, estimates.probabilities),
            "loss": estimates.loss,
        }


class SoundEvents(Tagging):
    """Sound events: metrics `f1` (over samples), `f1_micro` and `f1_macro` in percent, and `loss` in nats."""

    dataset, pools, settings_type = Dcase2017, SOUND_EVENTS, SoundEventSettings
    settings: SoundEventSettings

    def evaluate(self, split: str) -> dict[str, float]:
        """The F1 scores of what is more probable than the threshold, and the windows' mean `loss`."""
        estimates = self.estimate(split)
        scores = f1_scores(estimates.truth, estimates.probabilities > self.settings.threshold)
        return {
            "f1": 100.0 * scores["samples"],
            "f1_micro": 100.0 * scores["micro"],
            "f1_macro": 100.0 * scores["macro"],
            "loss": estimates.loss,
        }
