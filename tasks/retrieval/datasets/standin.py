"""The stand-ins of the four data sets: emoji, each concept a class and each vendor's drawing of it a photo."""

from __future__ import annotations

from optathlon.tasks.data.dataset import Source
from optathlon.tasks.images import emoji
from optathlon.tasks.images.emoji import Concept
from optathlon.tasks.images.photos import Shown
from optathlon.tasks.randomness import generator

SIDE = 64
MANY, FEW = 8, 4  # vendors who draw a concept: for the small data sets, for SOP
BIRDS, CARS = 200, 196
QUERIES = {"noto", "fluent-emoji", "emojione", "fxemoji"}  # the vendors whose drawings In-Shop's queries are


def classes(dataset: str) -> list[Shown]:
    """The classes of a data set's stand-in, in a fixed shuffled order; DataError if a package is absent.

    CUB's, Cars' and In-Shop's have no concept in common; SOP's has all. A drawing that looks exactly like one before
    it is left out.
    """
    emoji.renderer()
    concepts = emoji.concepts(FEW if dataset == "sop" else MANY)
    order = [concepts[i] for i in generator("emoji", "concepts").permutation(len(concepts))]
    small = {"cub": order[:BIRDS], "cars": order[BIRDS : BIRDS + CARS], "inshop": order[BIRDS + CARS :]}
    seen: set[bytes] = set()
    shown = [_shown(concept, seen) for concept in small.get(dataset, order)]
    return [category for category in shown if len(category.images) > 1]


def sources() -> list[Source]:
    """The packages that the classes were made from."""
    return emoji.sources()


def _shown(concept: Concept, seen: set[bytes]) -> Shown:
    group = "_".join(concept.group.replace("&", "").split())
    return Shown(concept.name.replace("-", "_"), group, emoji.draw(concept, SIDE, seen))
