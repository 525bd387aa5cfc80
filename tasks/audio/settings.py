"""What the audio tasks can be told; needs no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from optathlon.tasks.audio.pooling import KEYWORDS, MUSIC_TAGS, SOUND_EVENTS, Pools, check_length
from optathlon.tasks.errors import TaskError
from optathlon.tasks.settings import Count, DropRate, Limit, Probability, Settings, require_batch
from optathlon.tasks.task import LARGEST, Protocol

WORDS = 35
"""Words of Speech Commands v2."""
MOST_TAGS = 50
"""Tags of MagnaTagATune that are used, the most frequent."""
EVENTS = 17
"""Kinds of sound in DCASE 2017 task 4."""


class HarmonicCnnSettings(Settings, frozen=True, kw_only=True):
    """What every task of a Harmonic CNN on clips can be told."""

    holdouts: ClassVar = ("published", "none")
    least_micro_batch: ClassVar = 2
    least_because: ClassVar = "batch normalization needs 2 clips or more"
    pools: ClassVar[Pools]
    more_clips: ClassVar[str] = "more protocol.settings.training_clips"
    """How there would be more training clips, for messages."""

    channels: Count
    """Of the first four stages; the others have twice as many."""
    input_length: Count
    """Samples of a window, in which shorter clips lie among zeros."""
    n_fft: Annotated[int, msgspec.Meta(ge=12, le=LARGEST)]
    """Samples under the spectrogram's window; the hop is half of them. With fewer than 12, no filter of the first
    harmonic covers any of its frequencies."""
    dropout: DropRate
    training_clips: Limit
    """At most so many, 0 for all."""
    evaluation_clips: Limit
    """At most so many of each split, 0 for all."""
    evaluation_batch: Count
    """Clips evaluated at a time, each with its windows."""

    def most(self, split: str) -> int:
        """At most how many clips of `split` count, 0 for all."""
        return self.training_clips if split == "training" else self.evaluation_clips

    def check(self, protocol: Protocol) -> None:
        check_length(self.input_length, self.n_fft, self.pools)
        if self.training_clips:
            require_batch(self._most_training_clips(), "clips", protocol, self.more_clips)

    def _most_training_clips(self) -> int:
        """At most how many clips there are to train on, where `training_clips` limits them."""
        return self.training_clips


class KeywordSpottingSettings(HarmonicCnnSettings, frozen=True, kw_only=True):
    """`Protocol.settings` of keyword spotting, where `training_clips` and `evaluation_clips` are of each word."""

    pools: ClassVar = KEYWORDS
    more_clips: ClassVar = "more words or training_clips in protocol.settings"

    words: Annotated[int, msgspec.Meta(ge=2, le=WORDS)]
    """Only that many words, the first in the alphabet."""

    def _most_training_clips(self) -> int:
        return self.training_clips * self.words


class TaggingSettings(HarmonicCnnSettings, frozen=True, kw_only=True):
    """`Protocol.settings` of tagging, of music or of sound events."""

    tags: Count
    """At most so many, the most frequent in music; 17 is all events."""
    windows: Count
    """Of each clip in evaluation, whose probabilities are averaged."""


class MusicTaggingSettings(TaggingSettings, frozen=True, kw_only=True):
    """`Protocol.settings` of music tagging."""

    pools: ClassVar = MUSIC_TAGS
    tags: Annotated[int, msgspec.Meta(ge=1, le=MOST_TAGS)]

    def check(self, protocol: Protocol) -> None:
        super().check(protocol)
        if self.evaluation_clips == 1:
            raise TaskError(
                "protocol.settings.evaluation_clips: 1 clip gives no ROC curve, which needs clips with each tag and"
                " without; expected 0 for all, or 2 or more"
            )


class SoundEventSettings(TaggingSettings, frozen=True, kw_only=True):
    """`Protocol.settings` of sound events."""

    pools: ClassVar = SOUND_EVENTS
    tags: Annotated[int, msgspec.Meta(ge=1, le=EVENTS)]
    threshold: Probability
    """An event counts as heard where it is more probable than that."""
