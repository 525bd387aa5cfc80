"""COCO's official layout: one JSON file of annotations and one folder of photos for each split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol

import msgspec
import numpy as np

from optathlon.tasks.data.files import NOT_JSON
from optathlon.tasks.data.immutable import Immutable
from optathlon.tasks.data.layouts import require_place
from optathlon.tasks.data.listing import below
from optathlon.tasks.errors import DataError

NAME, TREE = "coco", "coco"
TRAIN, TEST = "train2017", "val2017"
ID = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]  # larger ones are not exact in the evaluation's numbers
Pixels = Annotated[float, msgspec.Meta(ge=-(2.0**31), le=2.0**31)]  # of larger ones no area is a number
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Image(msgspec.Struct):
    id: ID
    file_name: str
    height: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    width: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]


class Annotation(msgspec.Struct):
    """A box as left, top, width, height in pixels. Segmentations, of whichever form, are not read."""

    id: ID
    image_id: ID
    category_id: ID
    bbox: tuple[Pixels, Pixels, Pixels, Pixels]
    area: float | None = None
    iscrowd: Literal[0, 1] = 0


class Category(msgspec.Struct):
    id: ID
    name: str


class File(msgspec.Struct):
    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]


@dataclass(frozen=True)
class Annotations(Immutable):
    """The images of one split in the file's order, and their n boxes in the order of the images.

    The boxes of image i are those from starts[i] to starts[i + 1].
    """

    folder: Path
    files: list[str]
    ids: np.ndarray
    """Image ids, int64 (images,)."""
    sizes: np.ndarray
    """Heights and widths in pixels, int64 (images, 2)."""
    starts: np.ndarray
    """int64 (images + 1,)."""
    boxes: np.ndarray
    """Left, top, width, height in pixels, float64 (n, 4), as the file has them: also empty or beyond the border."""
    labels: np.ndarray
    """Numbers of the classes from 0 without gaps, int64 (n,)."""
    crowd: np.ndarray
    """Whether a box surrounds many objects, bool (n,)."""
    areas: np.ndarray
    """Of the objects, in pixels, float64 (n,)."""
    categories: np.ndarray
    """The category id of each class, ascending, int64 (classes,)."""

    def __len__(self) -> int:
        return len(self.files)

    def path(self, index: int) -> Path:
        """The photo of an image."""
        return self.folder / self.files[index]

    def boxes_of(self, index: int) -> slice:
        """Where the boxes of an image are."""
        return slice(int(self.starts[index]), int(self.starts[index + 1]))

    def subset(self, chosen: Sequence[int] | np.ndarray) -> Annotations:
        """The images at the places `chosen`, in that order, with their boxes."""
        places = [np.arange(part.start, part.stop) for part in map(self.boxes_of, chosen)]
        rows = np.concatenate([np.empty(0, dtype=np.int64), *places])
        return Annotations(
            folder=self.folder,
            files=[self.files[index] for index in chosen],
            ids=self.ids[chosen],
            sizes=self.sizes[chosen],
            starts=np.cumsum([0, *(len(p) for p in places)], dtype=np.int64),
            boxes=self.boxes[rows],
            labels=self.labels[rows],
            crowd=self.crowd[rows],
            areas=self.areas[rows],
            categories=self.categories,
        )

    @property
    def with_boxes(self) -> int:
        """How many images have a box."""
        return int(np.count_nonzero(np.diff(self.starts)))


def read(folder: Path, split: str) -> Annotations:
    """The annotations of `split` ("train2017", "val2017"); DataError names what is broken in which file."""
    tree = require_place(NAME, folder, (TREE, "."), [_json(TRAIN)])
    path = tree / _json(split)
    content = _parse(path)
    if not content.images or not content.categories:
        raise DataError(f"{path}: lists no {'categories' if content.images else 'images'}; is it the official file?")
    for name in ("images", "annotations", "categories"):
        _unique_ids(path, name, getattr(content, name))
    for image in content.images:
        below(tree / split, f"{path}, image {image.id}", image.file_name)
    return _columns(path, tree / split, content)


def read_both(folder: Path) -> tuple[Annotations, Annotations]:
    """The annotations of train2017 and val2017; DataError if their categories differ."""
    train, test = read(folder, TRAIN), read(folder, TEST)
    if not np.array_equal(train.categories, test.categories):
        odd = sorted(set(train.categories.tolist()) ^ set(test.categories.tolist()))
        raise DataError(f"{folder}: category {odd[0]} is in only one of {_json(TRAIN)} and {_json(TEST)}")
    if not len(train.boxes):
        raise DataError(f"{folder}: {_json(TRAIN)} has no annotations to learn from")
    return train, test


def _json(split: str) -> str:
    return f"annotations/instances_{split}.json"


def _parse(path: Path) -> File:
    try:
        return msgspec.json.decode(path.read_bytes().removeprefix(BYTE_ORDER_MARK), type=File)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); expected the official file") from None
    except NOT_JSON as error:
        raise DataError(f"{path} is not the official file or is damaged ({error}); fetch or unpack it again") from None


class _Numbered(Protocol):
    id: int


def _unique_ids(path: Path, name: str, items: Sequence[_Numbered]) -> None:
    counts = Counter(item.id for item in items)
    if len(counts) < len(items):
        twice = next(number for number, count in counts.items() if count > 1)
        raise DataError(f"{path}: {name} has the id {twice} {counts[twice]} times; expected each once")


def _columns(path: Path, folder: Path, content: File) -> Annotations:
    ids = np.array([image.id for image in content.images], dtype=np.int64)
    categories = np.unique([category.id for category in content.categories]).astype(np.int64)
    noted = content.annotations
    images = _places(path, noted, ids, np.array([a.image_id for a in noted], dtype=np.int64), "image")
    labels = _places(path, noted, categories, np.array([a.category_id for a in noted], dtype=np.int64), "category")
    boxes = np.array([a.bbox for a in noted], dtype=np.float64).reshape(-1, 4)
    negative = np.nonzero((boxes[:, 2:] < 0).any(1))[0]
    if len(negative):
        first = noted[negative[0]]
        raise DataError(f"{path}: annotation {first.id} has the box {list(first.bbox)} of negative width or height")
    areas = np.array([np.nan if a.area is None else a.area for a in noted], dtype=np.float64)
    order = np.argsort(images, kind="stable")
    return Annotations(
        folder=folder,
        files=[image.file_name for image in content.images],
        ids=ids,
        sizes=np.array([(image.height, image.width) for image in content.images], dtype=np.int64),
        starts=np.searchsorted(images[order], np.arange(len(ids) + 1)),
        boxes=boxes[order],
        labels=labels[order],
        crowd=np.array([a.iscrowd == 1 for a in noted], dtype=bool)[order],
        areas=np.where(np.isnan(areas), boxes[:, 2] * boxes[:, 3], areas)[order],
        categories=categories,
    )


def _places(path: Path, noted: list[Annotation], known: np.ndarray, ids: np.ndarray, kind: str) -> np.ndarray:
    """Where each of `ids` stands in `known`; DataError names the annotation of one that is not there."""
    order = np.argsort(known, kind="stable")
    places = order[np.minimum(np.searchsorted(known, ids, sorter=order), len(known) - 1)]
    strange = np.nonzero(known[places] != ids)[0]
    if len(strange):
        first = noted[strange[0]]
        raise DataError(
            f"{path}: annotation {first.id} is of {kind} {ids[strange[0]]}, which the file does not list;"
            f" {len(strange)} of {len(ids)} annotations are like that"
        )
    return places
