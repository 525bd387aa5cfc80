"""The miniature of Speech Commands: each word a chirp between two pitches, by invented speakers."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from optathlon.tasks.audio.speech_commands.layout import (
    NOISE,
    SAMPLE_RATE,
    WORDS,
    official_split,
    write_clip,
    write_lists,
)
from optathlon.tasks.randomness import generator

SPEAKERS = {"training": 12, "validation": 2, "test": 2}
PITCHES = 6  # 36 pairs for 35 words
LOWEST_HZ, STEP = 262.0, 2 ** (5 / 12)


def write(tree: Path) -> None:
    """Write 16 speakers x 35 words, the two lists and the background noise below `tree`."""
    paths = []
    speakers = [*_speakers()]
    for number, word in enumerate(WORDS):
        (tree / word).mkdir(parents=True)
        for speaker in speakers:
            paths.append(f"{word}/{speaker}_nohash_0.wav")
            write_clip(tree / paths[-1], chirp(number, speaker))
    write_lists(tree, paths)
    write_noise(tree)


def _speakers() -> Iterator[str]:
    """Names that the official rule puts into the splits in the numbers that SPEAKERS wants."""
    missing = dict(SPEAKERS)
    for number in itertools.count():
        speaker = hashlib.sha1(f"miniature speaker {number}".encode()).hexdigest()[:8]
        split = official_split(speaker)
        if missing[split]:
            missing[split] -= 1
            yield speaker
        if not any(missing.values()):
            return


def chirp(word: int, speaker: str) -> np.ndarray:
    """A glide from pitch word % 6 to pitch word // 6 with three harmonics; a speaker's voice lies up to 4 % off."""
    voice = generator("chirps", speaker)
    tuning, seconds = voice.uniform(0.96, 1.04), voice.uniform(0.8, 1.0)
    random = generator("chirps", speaker, word)
    time = np.linspace(0, 1, int(seconds * SAMPLE_RATE))
    pitch = LOWEST_HZ * tuning * STEP ** ((1 - time) * (word % PITCHES) + time * (word // PITCHES))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    tone = sum(np.sin(n * phase) / n for n in (1, 2, 3)) * np.sin(np.pi * time)
    return random.uniform(0.1, 0.4) * tone + 0.005 * random.standard_normal(len(time))


def write_noise(tree: Path, seconds: int = 4) -> None:
    """White and pink noise in the folder of background noises, which no split contains."""
    (tree / NOISE).mkdir()
    white = generator("background noise").standard_normal(seconds * SAMPLE_RATE)
    spectrum = np.fft.rfft(white)
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)))
    for name, noise in (("white_noise", white), ("pink_noise", pink)):
        write_clip(tree / NOISE / f"{name}.wav", 0.1 * noise / noise.std())
