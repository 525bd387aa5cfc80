"""Kaggle's archive gives the same photos in the same order; broken tables of labels are named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from optathlon import tasks
from optathlon.tasks.data import dataset as data
from optathlon.tasks.data.dataset import prepare
from optathlon.tasks.errors import DataError
from optathlon.tasks.imagenet.ilsvrc2012 import kaggle
from optathlon.tasks.imagenet.ilsvrc2012.layout import read
from optathlon.tasks.imagenet.ilsvrc2012.miniature import wnid
from tests.tasks.imagenet.trees import CLASSES, TRAINING, VALIDATION, contents, flatten, photo, write


def as_kaggle(folder: Path, lies_in: str = "ILSVRC/Data/CLS-LOC") -> Path:
    """What Kaggle's archive unpacks to, with photos without labels and boxes; returns the table of labels."""
    shown = {path.stem: path.parent.name for path in folder.glob("val/*/*")}
    flatten(folder)
    (folder / lies_in).mkdir(parents=True)
    for part in ("train", "val"):
        (folder / part).rename(folder / lies_in / part)
    write(folder / lies_in / "test/ILSVRC2012_test_00000001.JPEG", 1)
    (folder / "ILSVRC/Annotations/CLS-LOC/val").mkdir(parents=True)
    (folder / "ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml").write_text("<annotation/>")
    rows = [f"{name},{synset} 85 1 499 272 {synset} 3 4 50 60 \n" for name, synset in reversed(shown.items())]
    (folder / kaggle.SOLUTION).write_text("".join([f"{kaggle.HEAD}\n", *rows]))
    (folder / "LOC_synset_mapping.txt").write_text(f"{wnid(0)} tench, Tinca tinca\n")
    return folder / kaggle.SOLUTION


@pytest.mark.parametrize("lies_in", kaggle.TREES)
def test_kaggles_archive_is_read_as_it_is_unpacked(folder, lies_in) -> None:
    before = contents(read(folder))
    as_kaggle(folder, lies_in)
    assert contents(read(folder)) == before


def test_boxes_and_photos_without_labels_are_no_part_of_the_data(folder) -> None:
    as_kaggle(folder)
    made = prepare(tasks.dataset("imagenet"), folder.parent)
    assert made.files == CLASSES * (TRAINING + VALIDATION) + 1  # and the table
    shutil.rmtree(folder / "ILSVRC/Annotations")
    assert data.check(tasks.dataset("imagenet"), folder.parent) == made


def test_kaggles_archive_is_read_where_it_lies(folder, tmp_path) -> None:
    before = contents(read(folder))
    as_kaggle(folder)
    folder.rename(tmp_path / "site")
    prepare(tasks.dataset("imagenet"), tmp_path, tmp_path / "site")
    assert contents(read(folder)) == before


def test_kaggles_table_labels_photos_in_folders_linked_beside_it(folder, tmp_path) -> None:
    before = contents(read(folder))
    as_kaggle(folder)
    folder.rename(tmp_path / "site")
    folder.mkdir()
    for part in ("train", "val"):
        (folder / part).symlink_to(tmp_path / "site/ILSVRC/Data/CLS-LOC" / part)
    (folder / kaggle.SOLUTION).symlink_to(tmp_path / "site" / kaggle.SOLUTION)
    assert contents(read(folder)) == before


def replaced(old: str, new: str) -> Callable[[Path], object]:
    return lambda table: table.write_text(table.read_text().replace(old, new, 1))


def added(line: str) -> Callable[[Path], object]:
    return lambda table: table.write_text(f"{table.read_text()}{line}\n")


TABLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no table": (Path.unlink, r"nor LOC_val_solution\.csv, which would say"),
    "another head": (replaced("ImageId", "id"), r"begins with 'id,Pred.*'; expected ImageId,PredictionString"),
    "another row": (replaced(f"{photo(6)[:-5]},n", "6,7,"), r"line \d: '6,7,.*; expected a photo's name, a comma"),
    "a row too few": (replaced(f"{photo(6)[:-5]},", "a,"), r"says nothing about ILSVRC2012_val_00000006, which lies"),
    "a row too many": (added(f"a,{wnid(0)} 1 2 3 4"), r"has 7 photos, but val/ has 6: a"),
    "two classes": (
        added(f"{photo(1)[:-5]},{wnid(1)} 1 2 3 4"),
        r"line 8: ILSVRC2012_val_00000001 is a n01440765, but an earlier line says n01440764",
    ),
    "strange class": (replaced(wnid(2), "n09999999"), r"'n09999999' is in .*LOC_val_solution\.csv, but not in"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_broken_tables_of_labels_are_named(folder, kind) -> None:
    spoil, message = TABLES[kind]
    spoil(as_kaggle(folder))
    with pytest.raises(DataError, match=message):
        read(folder)
