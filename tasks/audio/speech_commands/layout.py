"""Speech Commands as Google distributes it: folders of words, lists of validation and test clips."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from optathlon.tasks.audio.decoding import SAMPLE_RATE, Content, announced_bytes
from optathlon.tasks.audio.recordings import FOLDER
from optathlon.tasks.audio.writing import write_sound
from optathlon.tasks.data.files import is_litter
from optathlon.tasks.data.text import read_text
from optathlon.tasks.errors import DataError

NAME = "speech-commands"
ARCHIVE = "speech_commands_v0.02.tar.gz"
ARCHIVE_SHA256 = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
TREE = "SpeechCommands/speech_commands_v0.02"
"""Where torchaudio unpacks it, below the data set's folder."""
PLACES = (".", TREE, Path(TREE).name)
"""Where the folders of words may lie: directly, as below torchaudio's root, or as below its folder SpeechCommands."""
NOISE = "_background_noise_"
LONGEST = 16_384
"""The most samples that a recording may have."""
COUNTS = {"training": 84_843, "validation": 9_981, "test": 11_005}
"""Recordings in each official split."""
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
WORDS = tuple(
    "backward bed bird cat dog down eight five follow forward four go happy house learn left marvin nine no off on"  # noqa: SIM905
    " one right seven sheila six stop three tree two up visual wow yes zero".split()
)


class Clip(NamedTuple):
    """A recording: its path below the tree, "word/speaker_nohash_0.wav", and its word's place in WORDS."""

    path: str
    word: int


def index(tree: Path) -> dict[str, list[Clip]]:
    """The recordings of training, validation and test, each by word and file name; DataError if the layout is broken.

    Validation and test are what their lists name; training is every other recording in a word's folder.
    """
    by_path = {clip.path: clip for clip in _recordings(tree)}
    splits: dict[str, list[Clip]] = {}
    listed: dict[str, str] = {}
    for split, name in LISTS.items():
        for number, line in enumerate(_lines(tree / name), start=1):
            if line not in by_path:
                raise DataError(f"{NAME}: {tree / name}, line {number}: {line!r} is not a recording in {tree}")
            if line in listed:
                raise DataError(
                    f"{NAME}: {tree / name}, line {number}: {line!r} is listed twice ({listed[line]} already)"
                )
            listed[line] = split
    for split in COUNTS:
        splits[split] = [clip for path, clip in by_path.items() if listed.get(path, "training") == split]
        missing = set(range(len(WORDS))) - {clip.word for clip in splits[split]}
        if missing:
            raise DataError(f"{NAME}: {tree}: the {split} split has no recording of {WORDS[min(missing)]!r}")
    return splits


def _recordings(tree: Path) -> Iterable[Clip]:
    folders = {entry.name for entry in os.scandir(tree) if entry.is_dir() and not is_litter(entry.name)}
    folders -= {NOISE, *Path(TREE).parts, FOLDER}
    for folder in sorted(folders ^ set(WORDS)):
        state = "is missing" if folder in WORDS else "is no word of Speech Commands v0.02"
        raise DataError(f"{NAME}: folder {tree / folder} {state}; expected the 35 words {', '.join(WORDS)}")
    for word, folder in enumerate(WORDS):
        names = (entry.name for entry in os.scandir(tree / folder))
        for name in sorted(name for name in names if name.endswith(".wav") and not is_litter(name)):
            yield Clip(f"{folder}/{name}", word)


def _lines(path: Path) -> list[str]:
    try:
        text = read_text(path, "one word/file.wav a line")
    except DataError as error:
        raise DataError(f"{NAME}: {error}") from None
    return [line for line in text.split("\n") if line.strip()]


def decode_clip(content: bytes, name: str) -> np.ndarray:
    """The samples of a recording's `content`, float32 (n,), 1.0 being full scale.

    DataError with its `name` unless it is an intact wav file of 1 to LONGEST samples, 16 kHz, mono, 16-bit PCM.
    """
    try:
        with soundfile.SoundFile(Content(content)) as sound:
            if wrong := _wrong(sound, content):
                raise DataError(f"{name} has {wrong}; expected 1 to {LONGEST:,} samples, 16,000 Hz, mono, 16-bit PCM")
            return sound.read(dtype="float32")
    except soundfile.LibsndfileError as error:
        raise DataError(
            f"{name} is not a readable wav file of {len(content):,} bytes: {str(error).rpartition(': ')[2]}"
        ) from None


def _wrong(sound: soundfile.SoundFile, content: bytes) -> str | None:
    if (sound.samplerate, sound.channels, sound.format, sound.subtype) != (SAMPLE_RATE, 1, "WAV", "PCM_16"):
        return f"{sound.samplerate} Hz, {sound.channels} channels, {sound.format} {sound.subtype}"
    if not 1 <= sound.frames <= LONGEST:
        return f"{sound.frames} samples"
    whole = announced_bytes(content)
    return f"only {len(content)} bytes of the {whole} it announces" if whole and whole > len(content) else None


def official_split(path: str) -> str:
    """The official rule (README of the data set): a hash of the speaker's part of the name gives 10 % each to
    validation and test, so that no speaker is in two splits."""
    speaker = re.sub(r"_nohash_.*$", "", path.rpartition("/")[2])
    most = 2**27 - 1
    percentage = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (most + 1) * (100.0 / most)
    return "validation" if percentage < 10 else "test" if percentage < 20 else "training"


def write_lists(tree: Path, paths: Iterable[str]) -> None:
    """Write both lists for recordings at `paths` by the official rule."""
    chosen = {split: sorted(p for p in paths if official_split(p) == split) for split in LISTS}
    for split, name in LISTS.items():
        (tree / name).write_text("".join(f"{path}\n" for path in chosen[split]), encoding="utf-8")


def write_clip(path: Path, samples: np.ndarray) -> None:
    """Write floats in -1..1 as the official recordings are: 16 kHz, mono, 16-bit PCM."""
    write_sound(path, np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16), SAMPLE_RATE, "WAV")
