"""ImageNet as Kaggle's object localization challenge has it: photos in ILSVRC/Data/CLS-LOC/, labels in a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from optathlon.tasks.data.text import read_text
from optathlon.tasks.errors import DataError

TREES = ("ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")
"""Where train/ and val/ lie, depending on which folder of the unpacked archive one has."""
SOLUTION, HEAD = "LOC_val_solution.csv", "ImageId,PredictionString"
NOT_CLASSIFICATION = (
    *("ILSVRC/Annotations", "ILSVRC/ImageSets", "Annotations", "ImageSets"),
    *(f"{tree}/test" for tree in TREES),
    *("LOC_synset_mapping.txt", "LOC_train_solution.csv", "LOC_sample_submission.csv"),
)
"""What else the archive holds: boxes, lists of them, and photos without labels."""
WNID = re.compile(r"n\d{8}")


def find_solution(folder: Path, tree: Path) -> Path | None:
    """The table of validation labels in `folder`, beside its `tree` of photos or between the two; None without one."""
    between = [tree, *(place for place in tree.parents if place.is_relative_to(folder))]
    return next((place / SOLUTION for place in reversed(between) if (place / SOLUTION).is_file()), None)


def validation_wnids(solution: Path, photos: list[str]) -> list[str]:
    """The synset of each of the validation `photos`, named ILSVRC2012_val_00000001.JPEG and on.

    DataError if a line is no photo with its synset, or if the table and the folder do not hold the same photos.
    """
    wnids: dict[str, str] = {}
    for place, name, wnid in _rows(solution):
        if wnids.setdefault(name, wnid) != wnid:
            raise DataError(f"{place}: {name} is a {wnid}, but an earlier line says {wnids[name]}")
    stems = {name: Path(name).stem for name in photos}
    if strange := next((name for name in stems.values() if name not in wnids), None):
        raise DataError(f"{solution} says nothing about {strange}, which lies in val/; fetch the table again")
    if lost := min(wnids.keys() - set(stems.values()), default=None):
        raise DataError(f"{solution} has {len(wnids):,} photos, but val/ has {len(photos):,}: {lost}.JPEG is missing")
    return [wnids[stem] for stem in stems.values()]


def _rows(solution: Path) -> Iterator[tuple[str, str, str]]:
    """Place of the line, name of the photo without its suffix, synset: the first word, before the boxes' numbers."""
    expected = f"a table with the head {HEAD}"
    head, *lines = read_text(solution, expected).split("\n")
    if head.strip() != HEAD:
        raise DataError(f"{solution} begins with {head[:60]!r}; expected {HEAD}")
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        place = f"{solution}, line {number}"
        name, _, boxes = line.partition(",")
        wnid, *_ = boxes.strip('" ').split() or [""]
        if not WNID.fullmatch(wnid):
            raise DataError(f"{place}: {line[:60]!r}; expected a photo's name, a comma, a synset and boxes")
        yield place, name.strip('" '), wnid
