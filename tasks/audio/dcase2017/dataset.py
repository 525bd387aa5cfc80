"""DCASE 2017 task 4: 52,763 clips of ten seconds from YouTube with 17 kinds of warning and vehicle sounds.

Mesaros et al., "DCASE 2017 challenge setup: tasks, datasets and baseline system", DCASE 2017 workshop; the clips are of
AudioSet (Gemmeke et al. 2017).
"""

from __future__ import annotations

import os
import posixpath
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from optathlon.tasks.audio import recordings
from optathlon.tasks.audio.dcase2017.layout import (
    COUNTS,
    EVENTS,
    FINGERPRINTS,
    NAME,
    PARTS,
    PASSWORDS,
    RELEASE,
    Part,
    fingerprint,
    read_table,
    split,
)
from optathlon.tasks.audio.recordings import Listed
from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.data.files import file_digest, folders_in
from optathlon.tasks.data.layouts import find_file, find_place
from optathlon.tasks.errors import DataError


class Dcase2017(Dataset):
    name = NAME
    title = "DCASE 2017 challenge, task 4"
    licence = "labels CC BY 4.0 (AudioSet); recordings of their YouTube authors, for research"
    homepage = "https://dcase.community/challenge2017/task-large-scale-sound-event-detection"
    get = (
        ", ".join(part.table for part in PARTS.values())
        + " (https://github.com/ankitshah009/Task-4-Large-scale-weakly-supervised-sound-event-detection-for-smart-cars,"
        " folder groundtruth_release) and the folders "
        + ", ".join(part.folder for part in PARTS.values())
        + f" that the password-protected archives unpack to; {PASSWORDS}"
    )
    made: ClassVar[tuple[str, ...]] = (recordings.FOLDER,)
    standins: ClassVar[dict[str, int]] = {"d72e1b23b86100b2": 1}
    fingerprints: ClassVar[Mapping[str, str]] = FINGERPRINTS

    def verify(self, folder: Path) -> str | None:
        """As Dataset.verify: decodes every clip that is there, and tells how many of the tables' are not."""
        tables = {name: _table_of(folder, part) for name, part in PARTS.items()}
        audio = {part.folder: _clips_of(folder, part) for part in PARTS.values()}
        on_disk = {place: set(os.listdir(folder / place)) for place in audio.values()}
        listed = split({name: read_table(path) for name, path in tables.items()}, audio)
        splits, missing = {}, []
        for name, clips in listed.items():
            present = [posixpath.basename(clip.path) in on_disk[posixpath.dirname(clip.path)] for clip in clips]
            splits[name] = [clip for clip, is_on_disk in zip(clips, present, strict=True) if is_on_disk]
            missing += [clip.path for clip, is_on_disk in zip(clips, present, strict=True) if not is_on_disk]
        _report(missing, listed, splits)
        made = recordings.ensure(NAME, folder, EVENTS, splits, dict.fromkeys(missing, "not there"))
        prints = {name: fingerprint(clip.path for clip in clips) for name, clips in made.splits.items()}
        published = all(file_digest(tables[name], "md5") == part.table_md5 for name, part in PARTS.items())
        return "MD5 of 3 tables, fingerprints of the splits" if published and prints == self.fingerprints else None

    def write_miniature(self, folder: Path) -> None:
        """Each event a tone, a sweep, a beat or a noise of its own, one or two to a clip."""
        from optathlon.tasks.audio.dcase2017 import miniature

        miniature.write(folder)

    def write_standin(self, folder: Path) -> list[Source]:
        """Sound effects of OpenTTD and of a soundfont, mixed into clips of ten seconds."""
        from optathlon.tasks.audio.dcase2017 import standin

        return standin.write(folder)


def _table_of(folder: Path, part: Part) -> Path:
    """Where a table lies, in `folder` or in groundtruth_release/ as in the organizers' repository; DataError if
    nowhere."""
    if table := find_file(folder, (".", RELEASE), [part.table]):
        return table
    raise DataError(f"{NAME}: {folder / part.table} is missing; expected {Dcase2017.get}")


def _clips_of(folder: Path, part: Part) -> str:
    """Where a part's clips lie, below `folder`: there or deeper by one. DataError if nowhere; of an archive it says how
    to unpack it."""
    places = (".", *(place.name for place in folders_in(folder)))
    if place := find_place(folder, places, [part.folder]):
        return (place / part.folder).relative_to(folder).as_posix()
    if archive := find_file(folder, places, [part.archive]):
        raise DataError(
            f"{NAME}: {archive} is not unpacked: it needs a password, so do it yourself:"
            f" `cd {archive.parent} && unzip -P PASSWORD {part.archive}`, which makes {part.folder}/; {PASSWORDS}"
        )
    raise DataError(
        f"{NAME}: {folder / part.folder} is missing, and so is {part.archive}, which unpacks to it; expected"
        f" {Dcase2017.get}"
    )


def _report(missing: list[str], listed: Mapping[str, list[Listed]], splits: Mapping[str, list[Listed]]) -> None:
    """Tell of the clips that are not there, as YouTube has lost some; DataError if a split has none left."""
    for name, clips in splits.items():
        if not listed[name]:
            raise DataError(f"{NAME}: the tables leave no {name} clip; expected the official ones, or many more lines")
        if not clips:
            raise DataError(f"{NAME}: none of the {len(listed[name]):,} {name} clips is there, {listed[name][0].path}")
    if missing:
        counts = ", ".join(f"{len(splits[name]):,} of {len(listed[name]):,} {name}" for name in COUNTS)
        print(
            f"{NAME}: {len(missing):,} clips of the tables are not there, the first is {missing[0]}; left are {counts}",
            file=sys.stderr,
        )
