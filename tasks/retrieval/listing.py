"""What the four official layouts have in common: lists in text files, trees of photos, archives."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from optathlon.tasks.data.dataset import file_digest
from optathlon.tasks.data.workspace import workspace
from optathlon.tasks.errors import DataError
from optathlon.tasks.retrieval.photos import Photo, Splits

DIGITS = 18
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What tarfile and zipfile raise for a broken archive; RuntimeError for an encrypted one or an unknown compression."""


def find_tree(folder: Path, tree: str, sign: str) -> Path:
    """Where below `folder` the official tree begins: in `tree` or in `folder` itself, by the file `sign`."""
    found = next((place for place in (folder / tree, folder) if (place / sign).is_file()), None)
    if found is None:
        raise DataError(f"{folder.name}: no {sign} in {folder / tree} or {folder}; expected the official layout")
    return found


def rows(path: Path, names: Sequence[str], skip: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Each line after the first `skip` as its place, for messages, and as many words as there are `names`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is unreadable ({error}); expected lines of {' '.join(names)}") from None
    for number, line in enumerate(lines[skip:], start=skip + 1):
        if words := line.split():
            if len(words) != len(names):
                raise DataError(f"{path}, line {number}: {line!r} has {len(words)} words; expected {' '.join(names)}")
            yield f"{path}, line {number}", words


def number(place: str, name: str, word: str) -> int:
    """`word` as a positive number of 64 bits; DataError names the `place` if it is none."""
    if not (word.isascii() and word.isdigit() and len(word) <= DIGITS and int(word)):
        raise DataError(f"{place}: {name} {word[:40]!r} is not a positive number of at most {DIGITS} digits")
    return int(word)


def below(tree: Path, place: str, path: str) -> Path:
    """`tree` / `path`; DataError names the `place` if that leads out of the tree."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise DataError(f"{place}: {path!r} is not a path below {tree}")
    return tree / parts


def unique(photos: Iterable[tuple[str, Photo]]) -> list[Photo]:
    """The photos, in order; DataError names the place where one is listed a second time."""
    seen: set[Path] = set()
    kept = []
    for place, photo in photos:
        if photo.path in seen:
            raise DataError(f"{place}: {photo.path} is listed twice")
        seen.add(photo.path)
        kept.append(photo)
    return kept


def check_splits(name: str, splits: Splits) -> Splits:
    """`splits`, or DataError if one is empty or a class is in training and in the test."""
    for split, photos in zip(("training", "test", "gallery"), splits, strict=True):
        if photos is not None and not photos:
            raise DataError(f"{name}: there are no {split} photos")
    both = {p.label for p in splits.train} & {p.label for p in (*splits.query, *(splits.gallery or []))}
    if both:
        raise DataError(f"{name}: class {min(both)} has photos in training and in the test; expected disjoint classes")
    return splits


def proven(splits: Splits, counts: tuple[int, ...], archive: Path, md5: str) -> str | None:
    """By what the photos are the official ones, as Dataset.verify returns it: their counts, and the archive's MD5 if
    it lies there."""
    if splits.counts != counts:
        return None
    if not archive.is_file():
        return "counts of photos and classes"
    return f"MD5 of {archive.name}, counts" if file_digest(archive, "md5") == md5 else None


def unpack(archive: Path, tree: Path, md5: str | None) -> None:
    """Unpack the folder `tree.name` of `archive` (tar or zip) to become `tree`, whole or not at all.

    DataError if the archive has not that `md5`. Python 3.11.2, which Debian 12 has, knows no extraction filters for tar
    files, so these must be known to be harmless; zipfile never writes outside.
    """
    if md5 is not None and (seen := file_digest(archive, "md5")) != md5:
        raise DataError(f"{archive} has MD5 {seen}, expected {md5}: fetch it again")
    try:
        with workspace(archive.parent, ".unpacking-") as work:
            shutil.unpack_archive(archive, work, "zip" if archive.suffix == ".zip" else "gztar")
            inside = work / tree.name
            if not inside.is_dir():
                raise DataError(f"{archive} holds no folder {tree.name}/; expected the official archive")
            inside.rename(tree)
    except (*DAMAGED, shutil.ReadError, OSError) as error:
        raise DataError(f"{archive} cannot be unpacked into {tree} ({error}); fetch it again") from None
