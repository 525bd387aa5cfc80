"""Speech Commands v0.02: 105,829 one-second recordings of 35 English words, in the official layout.

Warden, "Speech Commands: a dataset for limited-vocabulary speech recognition", 2018.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import soundfile

from optathlon.tasks.data.dataset import Dataset, Source, file_digest
from optathlon.tasks.data.workspace import workspace
from optathlon.tasks.errors import DataError

NAME = "speech-commands"
ARCHIVE = "speech_commands_v0.02.tar.gz"
ARCHIVE_SHA256 = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
TREE = "SpeechCommands/speech_commands_v0.02"
NOISE = "_background_noise_"
SAMPLE_RATE = 16_000
LONGEST = 16_384
COUNTS = {"training": 84_843, "validation": 9_981, "test": 11_005}
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
WORDS = tuple(
    "backward bed bird cat dog down eight five follow forward four go happy house learn left marvin nine no off on"  # noqa: SIM905
    " one right seven sheila six stop three tree two up visual wow yes zero".split()
)


class Clip(NamedTuple):
    """A recording: its path below the tree, "word/speaker_nohash_0.wav", and its word's place in WORDS."""

    path: str
    word: int


class SpeechCommands(Dataset):
    name = NAME
    title = "Speech Commands v0.02"
    licence = "CC BY 4.0"
    homepage = "https://www.tensorflow.org/datasets/catalog/speech_commands"
    get = (
        f"the archive {ARCHIVE} (http://download.tensorflow.org/data/{ARCHIVE}), or what it unpacks to: 35 word"
        f" folders, validation_list.txt and testing_list.txt, there or in {TREE}"
    )
    miniature_version = 1
    standins: ClassVar[dict[str, int]] = {"2276a6a434c71132": 1}  # espeakng-loader 0.2.4, Linux x86-64
    archive_sha256: ClassVar[str] = ARCHIVE_SHA256
    counts: ClassVar[Mapping[str, int]] = COUNTS

    def verify(self, folder: Path) -> str | None:
        """As Dataset.verify: unpacks the archive if no tree is there yet, and opens every recording."""
        archive = folder / ARCHIVE
        if find_tree(folder) is None:
            if not archive.is_file():
                raise DataError(
                    f"{NAME}: {folder} holds neither {ARCHIVE} nor {' and '.join(LISTS.values())}; expected {self.get}"
                )
            unpack(archive, folder / TREE, self.archive_sha256)
        tree = tree_of(folder)
        splits = index(tree)
        for clips in splits.values():
            for clip in clips:
                with open_clip(tree / clip.path, LONGEST):
                    pass
        if {split: len(clips) for split, clips in splits.items()} != self.counts:
            return None
        if not archive.is_file():
            return "split counts and words"
        return f"SHA-256 of {ARCHIVE}, split counts" if file_digest(archive) == self.archive_sha256 else None

    def write_miniature(self, folder: Path) -> None:
        """Chirps, a pair of pitches for each word, by 16 invented speakers."""
        from optathlon.tasks.audio import chirps

        chirps.write(folder)

    def write_standin(self, folder: Path) -> list[Source]:
        """The 35 words spoken by eSpeak NG in many voices."""
        from optathlon.tasks.audio import espeak

        return espeak.write(folder)


def find_tree(folder: Path) -> Path | None:
    """Where below `folder` the word folders lie: directly or as torchaudio has them; None if nowhere."""
    lists = [t for t in (folder, folder / TREE) if any((t / name).exists() for name in LISTS.values())]
    return lists[0] if lists else None


def tree_of(folder: Path) -> Path:
    """find_tree, or DataError."""
    tree = find_tree(folder)
    if tree is None:
        wanted = " and ".join(LISTS.values())
        raise DataError(f"{NAME}: no {wanted} in {folder} or {folder / TREE}; expected the layout of {ARCHIVE}")
    return tree


def unpack(archive: Path, tree: Path, sha256: str = ARCHIVE_SHA256) -> None:
    """Unpack `archive` to become `tree`, whole or not at all; DataError if it is not the one with that digest.

    tarfile takes a damaged header for the end of an archive, so nothing but the digest tells that it is whole; Python
    3.11.2, which Debian 12 has, knows no extraction filters, so what is unpacked must be known to be harmless.
    """
    if (seen := file_digest(archive)) != sha256:
        raise DataError(
            f"{NAME}: {archive} has {archive.stat().st_size:,} bytes and SHA-256 {seen[:16]}…; expected 2,428,923,189"
            f" bytes with SHA-256 {sha256}: fetch it again"
        )
    tree.parent.mkdir(parents=True, exist_ok=True)
    try:
        with workspace(tree.parent, ".unpacking-") as work, tarfile.open(archive, "r:gz") as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            tar.extractall(work)
            work.rename(tree)
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"{NAME}: {archive} cannot be unpacked into {tree} ({error})") from None


def index(tree: Path) -> dict[str, list[Clip]]:
    """The recordings of training, validation and test, each by word and file name; DataError if the layout is broken.

    Validation and test are what their lists name; training is every other recording in a word's folder.
    """
    found = {clip.path: clip for clip in _recordings(tree)}
    splits: dict[str, list[Clip]] = {}
    listed: dict[str, str] = {}
    for split, name in LISTS.items():
        for number, line in enumerate(_lines(tree / name), start=1):
            if line not in found:
                raise DataError(f"{NAME}: {tree / name}, line {number}: {line!r} is not a recording in {tree}")
            if line in listed:
                raise DataError(
                    f"{NAME}: {tree / name}, line {number}: {line!r} is listed twice ({listed[line]} already)"
                )
            listed[line] = split
    for split in COUNTS:
        splits[split] = [clip for path, clip in found.items() if listed.get(path, "training") == split]
        missing = set(range(len(WORDS))) - {clip.word for clip in splits[split]}
        if missing:
            raise DataError(f"{NAME}: {tree}: the {split} split has no recording of {WORDS[min(missing)]!r}")
    return splits


def _recordings(tree: Path) -> Iterable[Clip]:
    folders = {entry.name for entry in os.scandir(tree) if entry.is_dir()} - {NOISE, TREE.partition("/")[0]}
    for folder in sorted(folders ^ set(WORDS)):
        state = "is missing" if folder in WORDS else "is no word of Speech Commands v0.02"
        raise DataError(f"{NAME}: folder {tree / folder} {state}; expected the 35 words {', '.join(WORDS)}")
    for word, folder in enumerate(WORDS):
        for name in sorted(entry.name for entry in os.scandir(tree / folder) if entry.name.endswith(".wav")):
            yield Clip(f"{folder}/{name}", word)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{NAME}: {path} is unreadable ({error}); expected one word/file.wav a line") from None


def open_clip(path: Path, longest: int) -> soundfile.SoundFile:
    """An open recording; DataError unless it is an intact wav of 1 to `longest` samples, 16 kHz, mono, 16-bit PCM."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            size = os.fstat(file.fileno()).st_size
        sound = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, OSError) as error:
        raise DataError(f"{NAME}: {path} is not a readable wav file: {error}") from None
    wrong = None
    if (sound.samplerate, sound.channels, sound.format, sound.subtype) != (SAMPLE_RATE, 1, "WAV", "PCM_16"):
        wrong = f"{sound.samplerate} Hz, {sound.channels} channels, {sound.format} {sound.subtype}"
    elif not 1 <= sound.frames <= longest:
        wrong = f"{sound.frames} samples"
    elif struct.unpack("<4sI", head)[1] + 8 > size:
        wrong = f"only {size} bytes of the {struct.unpack('<4sI', head)[1] + 8} it announces"
    if wrong:
        sound.close()
        raise DataError(f"{NAME}: {path} has {wrong}; expected 1 to {longest} samples, 16,000 Hz, mono, 16-bit PCM")
    return sound


def read_clip(path: Path, longest: int) -> np.ndarray:
    """The samples of a recording, int16; DataError as open_clip."""
    with open_clip(path, longest) as sound:
        return sound.read(dtype="int16")


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
    soundfile.write(path, np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16), SAMPLE_RATE, subtype="PCM_16")
