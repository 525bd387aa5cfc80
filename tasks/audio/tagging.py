"""Music tagging and sound events with a Harmonic CNN, as AdamP trains it (Heo et al., ICLR 2021, section 4.4 and
appendix E.5) and as Won et al. 2020 evaluate it: several tags a clip, windows of it, sixteen of them at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from optathlon.tasks.audio import published_splits, recordings
from optathlon.tasks.audio.clip_workload import ClipWorkload
from optathlon.tasks.audio.dcase2017.dataset import Dcase2017
from optathlon.tasks.audio.mtat.dataset import MagnaTagATune
from optathlon.tasks.audio.recordings import Clip
from optathlon.tasks.audio.settings import MusicTaggingSettings, SoundEventSettings, TaggingSettings
from optathlon.tasks.errors import DataError
from optathlon.tasks.evaluation import Totals, batched, evaluating, split_of
from optathlon.tasks.metrics.tagging import average_precision, f1_scores, roc_auc
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch


class Estimates(NamedTuple):
    """What a network makes of a split."""

    truth: np.ndarray
    """Which tags each clip has: bool (clips, tags)."""
    probabilities: np.ndarray
    """Of each tag, the mean over a clip's windows: float32 (clips, tags)."""
    loss: float
    """Mean binary cross-entropy in nats, over all windows and tags."""


TagSettings = TypeVar("TagSettings", bound=TaggingSettings)


class Tagging(ClipWorkload[TagSettings]):
    """A Harmonic CNN that says how probable each of several tags is in a clip.

    Each epoch has one window of each training clip, at a random place. Evaluation averages the probabilities of
    several windows of each clip.
    """

    random_places = "windows"

    def _outputs(self, tags: int) -> int:
        return min(self.settings.tags, tags)

    def _labelled(self, split: str, clips: Sequence[Clip], outputs: int) -> tuple[list[Clip], np.ndarray]:
        chosen = recordings.some(self.dataset.name, split, clips, self.settings.most(split))
        return chosen, recordings.truth(chosen, outputs)

    def loss(self, batch: Batch, player: str) -> Tensor:
        """The mean binary cross-entropy over clips and tags, from logits and in single precision."""
        waves, tags = batch.data
        return binary_cross_entropy_with_logits(self._logits(waves).float(), self.on_device(tags).float())

    def estimate(self, split: str) -> Estimates:
        """What the network makes of the clips of `split`."""
        windows, s = split_of(self._splits, split), self.settings
        jobs = [(part, s.windows) for part in batched(len(windows), s.evaluation_batch)]
        totals, probabilities = Totals(self.device), []
        with evaluating(self.players["model"]):
            for waves, tags in self.load_all(windows.evenly, jobs):
                logits = self._logits(waves).float().unflatten(0, (-1, s.windows))
                truth = self.on_device(tags).float()[:, None].expand_as(logits)
                loss = binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((1, 2)).sum()
                totals.add(len(tags), loss=loss)
                probabilities.append(logits.sigmoid().mean(1).cpu())
        return Estimates(windows.labels, torch.cat(probabilities).numpy(), totals.means()["loss"])


class MusicTagging(Tagging[MusicTaggingSettings]):
    """Tags of music: metrics `roc_auc` and `pr_auc`, macro averages in percent, and `loss` in nats."""

    dataset, settings_type = MagnaTagATune, MusicTaggingSettings
    require_published = staticmethod(published_splits.mtat)

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


class SoundEvents(Tagging[SoundEventSettings]):
    """Sound events: metrics `f1` (over samples), `f1_micro` and `f1_macro` in percent, and `loss` in nats."""

    dataset, settings_type = Dcase2017, SoundEventSettings
    require_published = staticmethod(published_splits.dcase2017)

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
