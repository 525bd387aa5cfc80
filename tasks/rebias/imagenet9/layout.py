"""Photos of the nine classes in folders of synsets, and the texture clusters of those for validation."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from optathlon.tasks.data.layouts import find_file
from optathlon.tasks.errors import DataError
from optathlon.tasks.images.files import is_photo
from optathlon.tasks.images.photos import Photo
from optathlon.tasks.rebias.imagenet9.classes import LABELS, SYNSETS

NAME = "imagenet9"
TRAIN, VAL = "train", "val"
CLUSTERS = "9class_imagenet_val.csv"
COLUMNS = ("path", "category", "cluster1", "cluster2", "cluster3")
TEXTURES, CLUSTERINGS = 9, 3


class Nine(NamedTuple):
    """The photos of both splits, sorted by synset and file; the clusters (3, n) of those for validation."""

    train: list[Photo]
    val: list[Photo]
    clusters: np.ndarray


def read(folder: Path) -> Nine:
    """What lies in train/ and val/, of any root that has folders of the 42 synsets, and in the file of clusters.

    DataError if a synset or a photo's cluster is missing.
    """
    train, val = (photos(folder / split, LABELS) for split in (TRAIN, VAL))
    return Nine(train, val, read_clusters(find_clusters(folder), val))


def photos(tree: Path, synsets: Collection[str]) -> list[Photo]:
    """The photos in the folders of `synsets` below `tree`, whatever else lies there; DataError if one has none."""
    listed = []
    for synset in sorted(synsets):
        folder = tree / synset
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            raise DataError(
                f"{tree}: no folder {synset} ({error.strerror}); expected a folder of each synset of the nine classes"
            ) from None
        mine = [Photo(folder / name, LABELS[synset]) for name in names if is_photo(name)]
        if not mine:
            raise DataError(f"{folder} has no photos; unpack them again")
        listed += mine
    return listed


def name_of(photo: Photo) -> str:
    """A photo as the file of clusters calls it: synset/file."""
    return f"{photo.path.parent.name}/{photo.path.name}"


def find_clusters(folder: Path) -> Path:
    """The file of texture clusters in `folder` or its clusters/; DataError says where it comes from."""
    if path := find_file(folder, (".", "clusters"), [CLUSTERS]):
        return path
    raise DataError(
        f"imagenet9: no {CLUSTERS} in {folder}; put the one of clovaai/rebias (its folder clusters/) there, or make one"
        f" with `python -m optathlon.tasks.rebias.imagenet9.clusters {folder.parent}`"
    )


def read_clusters(path: Path, val: list[Photo]) -> np.ndarray:
    """Clusters (3, n) from 0 to 8 of the photos `val`, joined by their names; DataError names the line that is wrong.

    The published code's .pth files are in the order in which a file system once listed the photos: not these.
    """
    rows = _rows(path)
    names = [name_of(photo) for photo in val]
    if strange := set(rows) - set(names):
        raise DataError(f"{path} has {min(strange)}, which is not among the {len(val)} photos for validation")
    if missing := set(names) - set(rows):
        raise DataError(f"{path} has no line for {min(missing)}, one of the {len(val)} photos for validation")
    return np.array([rows[name] for name in names], dtype=np.int64).T


def _rows(path: Path) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            if (header := next(reader, [])) != list(COLUMNS):
                raise DataError(f"{path} has columns {','.join(header)[:80]!r}, expected {','.join(COLUMNS)}")
            for line in reader:
                name, clusters = _row(f"{path}, line {reader.line_num}", line)
                if name in rows:
                    raise DataError(f"{path}, line {reader.line_num}: {name} stands there twice")
                rows[name] = clusters
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}); expected lines of {','.join(COLUMNS)}") from None
    return rows


def _row(place: str, line: list[str]) -> tuple[str, list[int]]:
    if len(line) != len(COLUMNS):
        raise DataError(f"{place}: has {len(line)} fields, expected {','.join(COLUMNS)}")
    name, category, *clusters = line
    if category != (expected := _category(name)):
        raise DataError(f"{place}: {name} is called {category!r}, expected {expected!r}")
    known = [str(number) for number in range(TEXTURES)]
    if wrong := [cluster for cluster in clusters if cluster not in known]:
        raise DataError(f"{place}: {wrong[0]!r} is no cluster, expected 0 to {TEXTURES - 1}")
    return name, [int(cluster) for cluster in clusters]


def _category(name: str) -> str | None:
    label = LABELS.get(name.partition("/")[0])
    return None if label is None else list(SYNSETS)[label]


def write_clusters(path: Path, val: list[Photo], clusters: np.ndarray) -> None:
    """Write clusters (3, n) of the photos `val` as `read_clusters` reads them."""
    categories = list(SYNSETS)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for photo, numbers in zip(val, clusters.T.tolist(), strict=True):
            writer.writerow([name_of(photo), categories[photo.label], *numbers])
