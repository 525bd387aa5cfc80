"""The stand-ins: emoji of nine of Unicode's kinds as the nine classes, in the folders of their synsets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from optathlon.tasks.data.dataset import Source
from optathlon.tasks.data.npm import Package, files
from optathlon.tasks.images import emoji
from optathlon.tasks.images.files import save
from optathlon.tasks.rebias.imagenet9.classes import IMAGENET_A, LABELS, SYNSETS
from optathlon.tasks.rebias.imagenet9.clusters import of_filters
from optathlon.tasks.rebias.imagenet9.layout import CLUSTERS, TRAIN, VAL, photos, write_clusters

NAMES = Package(
    "emoji-datasource",
    "16.0.0",
    "/qHKqK5Nr3+8zhgO6kHmF43Fm5C8HNn0AaFRIpgw8HF3+uF0Vfc8jgLI1ZQS5ba1vBzksS8NBCjHejwLb2D/Sg==",
    "MIT",
)
"""What kind of thing each emoji shows."""
KINDS = (
    "animal-mammal", "animal-bird", "animal-marine", "animal-bug", "food-fruit", "food-vegetable", "transport-ground",
    "transport-air", "clothing",
)  # fmt: skip
"""In the order of the nine classes."""
SIDE, LEAST = 64, 4
HARD = ("openmoji", "fxemoji")
"""Vendors whose drawings are ImageNet-A's stand-in alone: no other data has their style."""
VALIDATION = 5
"""One in so many of the other vendors' drawings is for validation."""
STANDINS = {"a00cdfc2bf0e3bdd": 1}
"""Digest of the sources to N of "standin-N", of both data sets."""


class Drawing(NamedTuple):
    """One vendor's picture of an emoji: uint8 pixels (64, 64, 3), and the class of what it shows."""

    label: int
    vendor: str
    name: str
    pixels: np.ndarray


def write(folder: Path) -> None:
    """Write train/, val/ and the file of clusters; DataError if a package is absent."""
    counts: Counter[int] = Counter()
    number = 0
    for drawing in _drawings():
        if drawing.vendor in HARD:
            continue
        synsets = list(SYNSETS.values())[drawing.label]
        turn, place = divmod(counts[drawing.label], len(synsets))
        counts[drawing.label] += 1
        held = turn % VALIDATION == VALIDATION - 1
        number += held
        name = f"ILSVRC2012_val_{number:08}.JPEG" if held else f"{synsets[place]}_{turn}.JPEG"
        save(folder / (VAL if held else TRAIN) / synsets[place] / name, drawing.pixels)
    val = photos(folder / VAL, LABELS)
    write_clusters(folder / CLUSTERS, val, of_filters(val))


def write_imagenet_a(folder: Path) -> None:
    """Write the drawings of the vendors in HARD into the 21 folders that ImageNet-A has; of one class it has none."""
    counts: Counter[int] = Counter()
    for drawing in _drawings():
        mine = [synset for synset in IMAGENET_A if LABELS[synset] == drawing.label]
        if drawing.vendor in HARD and mine:
            turn, place = divmod(counts[drawing.label], len(mine))
            counts[drawing.label] += 1
            save(folder / mine[place] / f"{turn:04}_{drawing.name}.jpg", drawing.pixels)


def sources() -> list[Source]:
    """The packages that the drawings come from."""
    return [*emoji.sources(), NAMES.source]


def _drawings() -> Iterator[Drawing]:
    """Every drawing of something of KINDS, in the order of code points and vendors."""
    emoji.renderer()
    listed = json.loads(files(NAMES, ["emoji.json"])["emoji.json"])
    kinds = {emoji.plain(entry["unified"]): entry["subcategory"] for entry in listed}
    seen: set[bytes] = set()
    for concept in emoji.concepts(LEAST):
        if (kind := kinds.get(concept.codepoints)) in KINDS:
            for vendor, pixels in emoji.draw(concept, SIDE, seen).items():
                yield Drawing(KINDS.index(kind), vendor, concept.name, pixels)
