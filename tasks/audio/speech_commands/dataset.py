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
    TREE,
    WORDS,
    decode_clip,
    find_tree,
    index,
    tree_of,
)
from optathlon.tasks.data import archives
from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.errors import DataError


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
        archive = folder / ARCHIVE
        if find_tree(folder) is None:
            if not archive.is_file():
                raise DataError(
                    f"{NAME}: {folder} holds neither {ARCHIVE} nor {' and '.join(LISTS.values())}; expected {self.get}"
                )
            unpack(archive, folder / TREE, self.archive_sha256)
        tree = tree_of(folder)
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
    """Unpack `archive` to become `tree`, whole or not at all; DataError if it is not the one with that digest.

    tarfile takes a damaged header for the end of an archive, so nothing but the digest tells that it is whole.
    """
    if (digest := file_digest(archive)) != sha256:
        raise DataError(
            f"{NAME}: {archive} has {archive.stat().st_size:,} bytes and SHA-256 {digest[:16]}…; expected 2,428,923,189"
            f" bytes with SHA-256 {sha256}: fetch it again"
        )
    archives.unpack(archive, tree, md5=None, inside=".")
