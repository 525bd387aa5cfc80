"""MagnaTagATune: 25,863 clips of music of 29 seconds with 188 tags, in the official layout.

Law, West, Mandel, Bay and Downie, "Evaluation of algorithms using games: the case of music annotation", ISMIR 2009.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from optathlon.tasks.audio import recordings
from optathlon.tasks.audio.mtat import archive
from optathlon.tasks.audio.mtat.layout import (
    ANNOTATIONS,
    ANNOTATIONS_MD5,
    COUNTS,
    NAME,
    UNREADABLE,
    find_audio,
    read_annotations,
    split,
)
from optathlon.tasks.audio.recordings import Listed
from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.errors import DataError

MISSING_NAMED = 3


class MagnaTagATune(Dataset):
    name = NAME
    title = "MagnaTagATune"
    licence = "CC BY-NC-SA 1.0 (recordings of Magnatune)"
    homepage = "https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset"
    get = (
        f"{ANNOTATIONS} and {', '.join(archive.PARTS)} of http://mi.soi.city.ac.uk/datasets/magnatagatune/, which are"
        " unpacked into mp3/; or what they unpack to, folders 0 to f of MP3 files, there or in mp3/"
    )
    made: ClassVar[tuple[str, ...]] = (recordings.FOLDER,)
    standins: ClassVar[dict[str, int]] = {"c5df51caac32c46f": 1}
    annotations_md5: ClassVar[str] = ANNOTATIONS_MD5
    counts: ClassVar[Mapping[str, int]] = COUNTS

    def verify(self, folder: Path) -> str | None:
        """As Dataset.verify: unpacks the archive if the clips are not there, and decodes those of the three splits."""
        table = folder / ANNOTATIONS
        if not table.is_file():
            raise DataError(f"{NAME}: {table} is missing; expected {self.get}")
        annotations = read_annotations(table)
        if files := archive.archives(folder):
            archive.verify(files)
            if find_audio(folder) is None:
                archive.unpack(list(files), folder)
        if (audio := find_audio(folder)) is None:
            raise DataError(f"{NAME}: {folder} holds neither the clips nor {', '.join(archive.PARTS)}; {self.get}")
        tags, listed = split(annotations)
        splits = {name: [clip for clip in clips if clip.path not in UNREADABLE] for name, clips in listed.items()}
        _require_all(audio, splits)
        below = audio.relative_to(folder)
        made = recordings.ensure(
            NAME,
            folder,
            tags,
            {name: [Listed(str(below / clip.path), clip.tags) for clip in clips] for name, clips in splits.items()},
            {
                path: "known to be unreadable"
                for path in UNREADABLE
                if any(clip.path == path for clips in listed.values() for clip in clips)
            },
        )
        if file_digest(table, "md5") != self.annotations_md5 or made.counts != self.counts:
            return None
        proof = f"MD5 of {ANNOTATIONS}, split counts"
        return f"{proof}, MD5 of {' and '.join(path.name for path in files)}" if files else proof

    def write_miniature(self, folder: Path) -> None:
        """Invented tunes on three instruments, fast and slow, with and without drums."""
        from optathlon.tasks.audio.mtat import miniature

        miniature.write(folder)

    def write_standin(self, folder: Path) -> list[Source]:
        """Tunes of OpenTTD and Freedoom, played by a software synthesizer and tagged by their notes."""
        from optathlon.tasks.audio.mtat import standin

        return standin.write(folder)


def _require_all(audio: Path, splits: Mapping[str, list[Listed]]) -> None:
    """DataError names the first clips that are not below `audio`."""
    missing = [clip.path for clips in splits.values() for clip in clips if not (audio / clip.path).is_file()]
    if missing:
        total = sum(map(len, splits.values()))
        shown = ", ".join(missing[:MISSING_NAMED]) + (" …" if len(missing) > MISSING_NAMED else "")
        raise DataError(
            f"{NAME}: {len(missing):,} of {total:,} clips are missing in {audio}: {shown}; unpack the whole archive"
        )
