"""MagnaTagATune as City, University of London distributes it: a table of tags, and MP3 clips in sixteen folders."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from optathlon.tasks.audio.recordings import Listed
from optathlon.tasks.audio.settings import MOST_TAGS
from optathlon.tasks.data.files import folders_in
from optathlon.tasks.data.layouts import find_place
from optathlon.tasks.data.text import read_text
from optathlon.tasks.errors import DataError

NAME = "mtat"
ANNOTATIONS = "annotations_final.csv"
ANNOTATIONS_MD5 = "f04fa01752a8cc64f6e1ca142a0fef1d"
FOLDERS = "0123456789abcdef"
AUDIO = "mp3"

COUNTS = {"training": 15_247, "validation": 1_529, "test": 4_332}
"""Clips per split, without UNREADABLE, which are three of training's 15,250."""

SPLITS = dict.fromkeys(FOLDERS[:12], "training") | {"c": "validation", "d": "test", "e": "test", "f": "test"}

UNREADABLE = (
    "6/norine_braun-now_and_zen-08-gently-117-146.mp3",
    "8/jacob_heringman-josquin_des_prez_lute_settings-19-gintzler__pater_noster-204-233.mp3",
    "9/american_baroque-dances_and_suites_of_rameau_and_couperin-25-le_petit_rien_xiveme_ordre_couperin-88-117.mp3",
)
"""Clips of the official archive that no decoder can read."""

_PATH = re.compile(r"[0-9a-f]/[^/\\\x00-\x1f]+\.mp3")


class Annotations(NamedTuple):
    """The table of tags."""

    tags: tuple[str, ...]
    """Their names."""
    clips: list[Listed]
    """Each clip's path with the numbers of its tags."""


def read_annotations(path: Path) -> Annotations:
    """The table at `path`: tab-separated, quoted, columns clip_id, a tag each, mp3_path; DataError names the line."""
    try:
        text = read_text(path, "the table of tags")
    except DataError as error:
        raise DataError(f"{NAME}: {error}") from None
    lines = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    try:
        header = next(lines, [])
        tags = tuple(header[1:-1])
        if len(header) < 3 or (header[0], header[-1]) != ("clip_id", "mp3_path") or len(set(tags)) < len(tags):
            raise DataError(
                f"{NAME}: {path}, line 1: has columns {_short(header)}; expected clip_id, each tag once, mp3_path,"
                " separated by tabs"
            )
        return Annotations(tags, list(_clips(path, lines, len(header))))
    except csv.Error as error:
        raise DataError(f"{NAME}: {path}, line {lines.line_num}: {error}; expected tab-separated fields") from None


def _clips(path: Path, lines: Iterator[list[str]], columns: int) -> Iterator[Listed]:
    paths: set[str] = set()
    for fields in lines:
        if not fields:
            continue
        place = f"{NAME}: {path}, line {lines.line_num}"  # type: ignore[attr-defined]  # a csv.reader's
        if len(fields) != columns:
            raise DataError(f"{place}: has {len(fields)} columns, expected {columns} as in the first line")
        *values, clip = fields[1:]
        if not _PATH.fullmatch(clip) or clip in paths:
            wrong = "is named twice" if clip in paths else "is no path like d/name.mp3"
            raise DataError(f"{place}: {clip[:80]!r} {wrong}")
        if bad := set(values) - {"0", "1"}:
            raise DataError(f"{place}: a tag is {min(bad)[:20]!r}, expected 0 or 1")
        paths.add(clip)
        yield Listed(clip, tuple(number for number, value in enumerate(values) if value == "1"))


def _short(header: Sequence[str]) -> str:
    return repr(header if len(header) < 6 else [*header[:3], "…", header[-1]])


def most_frequent(annotations: Annotations) -> list[int]:
    """The numbers of the MOST_TAGS most frequent tags over all clips, most frequent first, then in the table's order;
    fewer if fewer tags occur."""
    counts = Counter(tag for clip in annotations.clips for tag in clip.tags)
    return sorted(counts, key=lambda tag: (-counts[tag], tag))[:MOST_TAGS]


def split(annotations: Annotations) -> tuple[tuple[str, ...], dict[str, list[Listed]]]:
    """Names of the most frequent tags, and the clips with one of them or more by split: folders 0 to b are training,
    c validation, d to f test. Tags are numbered by frequency."""
    chosen = most_frequent(annotations)
    rank = {tag: number for number, tag in enumerate(chosen)}
    splits: dict[str, list[Listed]] = {name: [] for name in COUNTS}
    for path, tags in annotations.clips:
        if kept := tuple(sorted(rank[tag] for tag in tags if tag in rank)):
            splits[SPLITS[path[0]]].append(Listed(path, kept))
    return tuple(annotations.tags[tag] for tag in chosen), splits


def find_audio(folder: Path) -> Path | None:
    """Where the sixteen folders of clips lie: in mp3/, directly in `folder` or in another folder there; None if
    nowhere."""
    return find_place(folder, (AUDIO, ".", *(place.name for place in folders_in(folder))), FOLDERS, enough=all)


def write_annotations(path: Path, tags: Sequence[str], clips: Mapping[str, Sequence[str]]) -> None:
    """Write the official table for `clips`, the names of the tags of each by path, in this order."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        table.writerow(["clip_id", *tags, "mp3_path"])
        for number, (clip, of_clip) in enumerate(clips.items(), start=1):
            table.writerow([number, *(int(tag in of_clip) for tag in tags), clip])
