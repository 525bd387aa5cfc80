"""What the four official layouts have in common: lists in text files, trees of photos, archives."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from optathlon.tasks.data.files import file_digest
from optathlon.tasks.errors import DataError
from optathlon.tasks.images.photos import Photo, Splits


def unique(photos: Iterable[tuple[str, Photo]]) -> list[Photo]:
    """The photos, in order; DataError names the place where one is listed a second time."""
    paths: set[Path] = set()
    listed = []
    for place, photo in photos:
        if photo.path in paths:
            raise DataError(f"{place}: {photo.path} is listed twice")
        paths.add(photo.path)
        listed.append(photo)
    return listed


def check_splits(name: str, splits: Splits) -> Splits:
    """`splits`, or DataError if one is empty or a class is in training and in the test."""
    for split, photos in zip(("training", "test", "gallery"), splits, strict=True):
        if photos is not None and not photos:
            raise DataError(f"{name}: there are no {split} photos")
    if splits.gallery is not None and not {p.label for p in splits.query} & {p.label for p in splits.gallery}:
        raise DataError(
            f"{name}: no item of the query photos has a photo in the gallery, so that nothing can be retrieved; is the"
            " list whole?"
        )
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
