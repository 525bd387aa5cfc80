"""Speech Commands v0.02: 105,829 one-second recordings of 35 English words, in the official layout.

Warden, "Speech Commands: a dataset for limited-vocabulary speech recognition", 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from optathlon.tasks.audio import recordings
from optathlon.tasks.audio.recordings import Listed
from optathlon.tasks.audio.speech_commands.layout import (
    ARCHIVE,
    ARCHIVE_SHA256,
    COUNTS,
    LISTS,
    NAME,
    PLACES,
    TREE,
    WORDS,
    decode_clip,
    index,
)
from optathlon.tasks.data import archives
from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.data.layouts import find_place, require_place


class SpeechCommands(Dataset):
    name = NAME
    title = "Speech Commands v0.02"
    licence = "CC BY 4.0"
    homepage = "https://www.tensorflow.org/datasets/catalog/speech_commands"
    get = (
        f"the archive {ARCHIVE} (http://download.tensorflow.org/data/{ARCHIVE}), or what it unpacks to: 35 word"
        f" folders, validation_list.txt and testing_list.txt, there or in {TREE}"
    )
    made: ClassVar[tuple[str, ...]] = (recordings.FOLDER,)
    miniature_version = 1
    standins: ClassVar[dict[str, int]] = {"2276a6a434c71132": 1}  # espeakng-loader 0.2.4, Linux x86-64
    entries: ClassVar[tuple[str, ...]] = (ARCHIVE, "SpeechCommands", "speech_commands_v0.02", *LISTS.values(), *WORDS)
    archive_sha256: ClassVar[str] = ARCHIVE_SHA256
    counts: ClassVar[Mapping[str, int]] = COUNTS

    def verify(self, folder: Path) -> str | None:
        """As Dataset.verify: unpacks the archive if no tree is there yet, and decodes every recording."""
        archive, lists = folder / ARCHIVE, [*LISTS.values()]
        if archive.is_file() and find_place(folder, PLACES, lists) is None:
            unpack(archive, folder / TREE, self.archive_sha256)
        tree = require_place(NAME, folder, PLACES, lists, self.get)
        below = tree.relative_to(folder)
        splits = {
            split: [Listed((below / clip.path).as_posix(), (clip.word,)) for clip in clips]
            for split, clips in index(tree).items()
        }
        if recordings.ensure(NAME, folder, WORDS, splits, {}, decode_clip).counts != self.counts:
            return None
        if not archive.is_file():
            return "split counts and words"
        return f"SHA-256 of {ARCHIVE}, split counts" if file_digest(archive) == self.archive_sha256 else None

    def write_miniature(self, folder: Path) -> None:
        """Chirps, a pair of pitches for each word, by 16 invented speakers."""
        from optathlon.tasks.audio.speech_commands import miniature

        miniature.write(folder)

    def write_standin(self, folder: Path) -> list[Source]:
        """The 35 words spoken by eSpeak NG in many voices."""
        from optathlon.tasks.audio.speech_commands import standin

        return standin.write(folder)


def unpack(archive: Path, tree: Path, sha256: str = ARCHIVE_SHA256) -> None:
    """Unpack `archive` to become `tree`, whole or not at all; DataError if it is not the one with that digest."""
    archives.check_digest(archive, sha256, "sha256")
    archives.unpack(archive, tree, md5=None, inside=".")
