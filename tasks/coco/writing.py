"""Writes imitations of COCO in its official layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from optathlon.tasks.images.files import save


class Drawn(NamedTuple):
    """One object of a drawn photo: its category's id, and where it can be seen, bool (height, width)."""

    category: int
    mask: np.ndarray
    segmentation: str = "rle"
    """How its outline is written: "rle" or "polygon" (a box's corners)."""
    crowd: bool = False


class Picture(NamedTuple):
    """A drawn photo, uint8 (height, width, 3), and the objects in it."""

    pixels: np.ndarray
    objects: Sequence[Drawn]


def write_split(
    folder: Path, split: str, first_id: int, categories: Mapping[int, str], pictures: Iterator[Picture]
) -> None:
    """Write the photos and annotations of `split`; image ids count from `first_id` in uneven steps."""
    images, annotations = [], []
    number = first_id
    for picture in pictures:
        number += 1 + 7 * (number % 3)
        height, width, _ = picture.pixels.shape
        name = f"{number:012}.jpg"
        save(folder / split / name, picture.pixels)
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for drawn in picture.objects:
            annotations.append({"id": 3 * len(annotations) + 1, "image_id": number, **_annotation(drawn)})
    content = {
        "info": {"description": "an imitation of COCO, written by Optathlon"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": name, "supercategory": "thing"} for i, name in categories.items()],
    }
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "annotations" / f"instances_{split}.json").write_bytes(msgspec.json.encode(content))


def _annotation(drawn: Drawn) -> dict[str, Any]:
    rows, columns = np.nonzero(drawn.mask.any(1))[0], np.nonzero(drawn.mask.any(0))[0]
    left, top = int(columns[0]), int(rows[0])
    width, height = int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top
    right, bottom = left + width, top + height
    corners = [left, top, right, top, right, bottom, left, bottom]
    as_rle = drawn.crowd or drawn.segmentation == "rle"
    return {
        "category_id": drawn.category,
        "bbox": [left, top, width, height],
        "area": int(drawn.mask.sum()),
        "segmentation": {"counts": run_lengths(drawn.mask), "size": list(drawn.mask.shape)} if as_rle else [corners],
        "iscrowd": int(drawn.crowd),
    }


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed run lengths: down the columns, beginning with how many are false."""
    flat = np.concatenate([[False], mask.ravel(order="F")])
    ends = np.nonzero(np.diff(flat))[0]
    return np.diff(ends, prepend=0, append=mask.size).tolist()
