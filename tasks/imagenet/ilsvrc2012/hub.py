"""ImageNet from the Hugging Face hub: the parquet files of ILSVRC/imagenet-1k, unpacked to class folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optathlon.tasks.data.workspace import workspace
from optathlon.tasks.errors import DataError
from optathlon.tasks.imagenet.ilsvrc2012.layout import NAME, TRAIN, VAL

SPLITS = {TRAIN: "train", VAL: "validation"}  # ours -> the hub's
ROWS = 256
WNID = re.compile(r"n\d{8}")


def files(folder: Path, split: str) -> list[Path]:
    """The hub's parquet files of a split in `folder` or in its data/, sorted."""
    places = [folder, folder / "data"]
    return sorted(path for place in places for path in place.glob(f"{SPLITS[split]}-*.parquet"))


def unpack(folder: Path) -> list[str]:
    """Write the photos of the parquet files as official files in class folders, where there are none yet; returns the
    splits written. Their bytes stay as they are.

    DataError if a file is damaged, or if the labels are not the classes in sorted order, as ImageFolder numbers them.
    """
    splits = [split for split in SPLITS if files(folder, split) and not (folder / split).exists()]
    if not splits:
        return []
    try:
        with workspace(folder, ".unpacking-") as work:
            wnids: dict[int, str] = {}
            for split in splits:
                _write(folder, split, work / split, wnids)
            _in_order(folder, wnids)
            for split in splits:
                (work / split).rename(folder / split)
    except OSError as error:
        raise DataError(f"{NAME}: {folder}: the parquet files cannot be unpacked ({error})") from None
    return splits


def _write(folder: Path, split: str, tree: Path, wnids: dict[int, str]) -> None:
    tree.mkdir()
    for path, row, image, label in _rows(folder, split):
        name = Path(str(image.get("path"))).name
        wnids_in_name = WNID.findall(name)
        if not isinstance(image.get("bytes"), bytes) or not (wnids_in_name or label in wnids):
            raise DataError(
                f"{NAME}: {path}, row {row}: expected a photo's bytes and a path with its synset, not {name!r}"
            )
        wnid = wnids_in_name[-1] if wnids_in_name else wnids[label]
        if wnids.setdefault(label, wnid) != wnid:
            raise DataError(f"{NAME}: {path}, row {row}: {name!r} has label {label}, which is of {wnids[label]}")
        (tree / wnid).mkdir(exist_ok=True)
        (tree / wnid / official_name(name, wnid)).write_bytes(image["bytes"])


def official_name(name: str, wnid: str) -> str:
    """The hub's name of a photo, n01440764_18_n01440764.JPEG, as the archives have it."""
    stem, dot, suffix = name.rpartition(".")
    return stem.removesuffix(f"_{wnid}") + dot + suffix


def _in_order(folder: Path, wnids: dict[int, str]) -> None:
    named = [wnids[label] for label in sorted(wnids)]
    if sorted(wnids) != list(range(len(wnids))) or named != sorted(set(named)):
        raise DataError(f"{NAME}: {folder}: labels are not 0 to {len(wnids) - 1} in the order of the synsets")


def _rows(folder: Path, split: str) -> Iterator[tuple[Path, int, dict[str, Any], int]]:
    import pyarrow.parquet
    from pyarrow import ArrowException

    for path in files(folder, split):
        row = 0
        try:
            for batch in pyarrow.parquet.ParquetFile(path).iter_batches(ROWS, columns=["image", "label"]):
                for image, label in zip(*(batch.column(c).to_pylist() for c in ("image", "label")), strict=True):
                    yield path, row, image, label
                    row += 1
        except (ArrowException, KeyError, OSError, ValueError) as error:
            raise DataError(
                f"{NAME}: {path} cannot be read ({type(error).__name__}: {error}); expected the columns image and label"
                " of ILSVRC/imagenet-1k"
            ) from None
