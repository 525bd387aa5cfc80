"""The development kit of ILSVRC2012: which classes there are, and what the validation photos show."""

from __future__ import annotations

import re
from pathlib import Path

from optathlon.tasks.data import listing, matlab
from optathlon.tasks.data.layouts import find_place
from optathlon.tasks.errors import DataError

FOLDER = "ILSVRC2012_devkit_t12"
TRUTH, META = "data/ILSVRC2012_validation_ground_truth.txt", "data/meta.mat"
STRUCT = "synsets"
PHOTO = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


def find(folder: Path) -> Path | None:
    """Where below `folder` the unpacked kit lies, or None."""
    return find_place(folder, (FOLDER, "devkit", "."), [TRUTH])


def validation_wnids(kit: Path, photos: list[str]) -> list[str]:
    """The synset of each of the validation `photos`, named ILSVRC2012_val_00000001.JPEG and on.

    DataError if a name is another, or if there are more or fewer labels than photos.
    """
    wnids, path = synsets(kit), kit / TRUTH
    numbered = [listing.number(place, "class", word) for place, (word,) in listing.rows(path, ["class"])]
    if len(numbered) != len(photos):
        raise DataError(f"{path} has {len(numbered):,} labels, but there are {len(photos):,} photos in val/")
    if strange := next((number for number in numbered if number not in wnids), None):
        raise DataError(f"{path}: class {strange} is not in {kit / META}, which has {len(wnids)}")
    return [wnids[numbered[_place(path, name, len(numbered))]] for name in photos]


def _place(path: Path, name: str, count: int) -> int:
    match = PHOTO.fullmatch(name)
    if match is None or not 1 <= int(match[1]) <= count:
        raise DataError(f"{path} is for photos ILSVRC2012_val_00000001.JPEG to …{count:08}.JPEG, but there is {name!r}")
    return int(match[1]) - 1


def synsets(kit: Path) -> dict[int, str]:
    """WordNet ids by the kit's own class numbers, of the classes with photos; DataError if meta.mat is broken."""
    records = matlab.records(kit / META, STRUCT, ("ILSVRC2012_ID", "WNID", "num_children"))
    place = f"{kit / META}: {STRUCT}"
    leaves = {
        matlab.integer(place, "ILSVRC2012_ID", record["ILSVRC2012_ID"]): str(record["WNID"])
        for record in records
        if matlab.integer(place, "num_children", record["num_children"]) == 0
    }
    if not leaves:
        raise DataError(f"{kit / META}: no synset has photos (num_children 0); fetch the development kit again")
    return leaves
