"""What the audio tasks can be told; needs no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from optathlon.tasks.audio.pooling import KEYWORDS, check_length
from optathlon.tasks.errors import TaskError
from optathlon.tasks.settings import Count, DropRate, Limit, Settings
from optathlon.tasks.task import Protocol

WORDS = 35
"""Words of Speech Commands v2."""


class KeywordSpottingSettings(Settings, frozen=True, kw_only=True):
    """`Protocol.settings` of keyword spotting."""

    holdouts: ClassVar = ("published", "none")
    least_micro_batch: ClassVar = 2
    least_because: ClassVar = "batch normalization needs 2 recordings or more"

    channels: Count
    """Of the first four stages; the others have twice as many."""
    input_length: Count
    """Samples to which each recording is padded with zeros."""
    n_fft: Annotated[int, msgspec.Meta(ge=2)]
    """Samples under the spectrogram's window; the hop is half of them."""
    dropout: DropRate
    words: Annotated[int, msgspec.Meta(ge=2, le=WORDS)]
    """Only that many words, the first in the alphabet."""
    training_clips: Limit
    """At most so many of each word, 0 for all."""
    evaluation_clips: Limit
    """At most so many of each word, 0 for all."""
    evaluation_batch: Count

    def check(self, protocol: Protocol) -> None:
        check_length(self.input_length, self.n_fft, KEYWORDS)
        if self.training_clips and self.training_clips * self.words < protocol.batch:
            raise TaskError(
                f"protocol.batch: {protocol.batch} is more than training_clips {self.training_clips} of each of"
                f" {self.words} words; take a smaller batch, or more words or training_clips in protocol.settings"
            )
