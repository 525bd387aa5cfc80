"""How many frames a waveform has, and how a Harmonic CNN pools them away; needs no torch."""

from __future__ import annotations

import math

from optathlon.tasks.errors import TaskError

Pools = tuple[tuple[int, int], ...]
"""Of each of the seven stages: the pooling over frequency and over time."""

KEYWORDS: Pools = ((2, 2),) * 6 + ((2, 1),)
MUSIC_TAGS: Pools = ((2, 2),) * 5 + ((2, 3),) * 2
SOUND_EVENTS: Pools = ((2, 2),) * 7


def frames(samples: int, n_fft: int) -> int:
    """Frames of a centered spectrogram of `samples` samples with hop n_fft // 2."""
    return 1 + (samples + 2 * (n_fft // 2) - n_fft) // (n_fft // 2)


def check_length(samples: int, n_fft: int, pools: Pools) -> None:
    """TaskError if `samples` samples give fewer frames than the pooling over time halves (or thirds) away."""
    needed = math.prod(time for _, time in pools)
    if frames(samples, n_fft) < needed:
        least = (needed - 3) * (n_fft // 2) + n_fft  # `frames` solved for the samples
        raise TaskError(
            f"protocol.settings.input_length: {samples} samples give {frames(samples, n_fft)} frames at n_fft {n_fft},"
            f" but the pooling of this network needs at least {needed}: take {least} samples or more"
        )
