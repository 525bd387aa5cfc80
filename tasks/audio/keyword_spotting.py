"""Keyword spotting with a Harmonic CNN, as AdamP trains it (Heo et al., ICLR 2021, section 4.4 and appendix E.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn.functional import cross_entropy

from optathlon.tasks.audio import published_splits, recordings
from optathlon.tasks.audio.clip_workload import ClipWorkload
from optathlon.tasks.audio.recordings import Clip
from optathlon.tasks.audio.settings import KeywordSpottingSettings
from optathlon.tasks.audio.speech_commands.dataset import SpeechCommands
from optathlon.tasks.errors import DataError
from optathlon.tasks.evaluation import batched, evaluating, split_of
from optathlon.tasks.metrics.classification import classification_scores
from optathlon.tasks.workload import Batch


class KeywordSpotting(ClipWorkload[KeywordSpottingSettings]):
    """A Harmonic CNN that tells which of the words is spoken; metrics `accuracy` in percent and `loss` in nats.

    In training each recording lies at a random place among its zeros, in evaluation in the middle.
    """

    dataset, settings_type, random_places = SpeechCommands, KeywordSpottingSettings, "padding"
    require_published = staticmethod(published_splits.speech_commands)

    def _outputs(self, tags: int) -> int:
        return self.settings.words

    def _labelled(self, split: str, clips: Sequence[Clip], outputs: int) -> tuple[list[Clip], np.ndarray]:
        chosen = recordings.first_of_each_tag(clips, outputs, self.settings.most(split))
        _require_room(chosen, self.settings.input_length)
        return chosen, np.array([clip.tags[0] for clip in chosen], dtype=np.int64)

    def loss(self, batch: Batch, player: str) -> Tensor:
        """The mean cross-entropy."""
        waves, words = batch.data
        return cross_entropy(self._logits(waves), self.on_device(words))

    def evaluate(self, split: str) -> dict[str, float]:
        """Accuracy in percent and mean cross-entropy in nats, each recording in the middle of its zeros."""
        clips = split_of(self._splits, split)
        jobs = [(part, 1) for part in batched(len(clips), self.settings.evaluation_batch)]
        with evaluating(self.players["model"]):
            loaded = self.load_all(clips.evenly, jobs)
            outputs = ((self._logits(waves).float(), self.on_device(words)) for waves, words in loaded)
            scores = classification_scores(outputs, self.device)
        return {"accuracy": scores.accuracies[1], "loss": scores.loss}


def _require_room(clips: Sequence[Clip], length: int) -> None:
    """DataError names a recording that is longer than `length` samples."""
    for clip in clips:
        if clip.length > length:
            raise DataError(
                f"{SpeechCommands.name}: {clip.path} has {clip.length:,} samples; expected at most"
                f" protocol.settings.input_length, which is {length:,}"
            )
