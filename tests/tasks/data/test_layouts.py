"""Where a data set lies is found in one way for all: the first place that has a sign of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from optathlon.tasks import DataError
from optathlon.tasks.data.layouts import find_file, find_parts, find_place, places_with, require_place

PLACES = ("birds", ".", "unpacked/birds")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All three places, without a sign."""
    (tmp_path / "birds").mkdir()
    (tmp_path / "unpacked" / "birds").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("place", PLACES)
def test_a_data_set_lies_where_one_of_its_signs_is_be_it_a_file_or_a_folder(folder: Path, place: str) -> None:
    assert find_place(folder, PLACES, ["images.txt", "images"]) is None
    (folder / place / "images").mkdir()
    assert find_place(folder, PLACES, ["images.txt", "images"]) == folder / place
    assert require_place("birds", folder, PLACES, ["images"]) == folder / place


def test_of_two_copies_the_place_that_is_named_first_counts(folder: Path) -> None:
    for place in reversed(PLACES):
        (folder / place / "images.txt").touch()
    assert places_with(folder, PLACES, ["images.txt"]) == [folder / place for place in PLACES]
    assert find_place(folder, PLACES, ["images.txt"]) == folder / "birds"


def test_where_all_signs_are_needed_some_are_not_enough(folder: Path) -> None:
    (folder / "birds" / "a").touch()
    for name in "ab":
        (folder / name).touch()
    assert find_place(folder, PLACES, "ab", enough=all) == folder


def test_a_data_set_that_lies_nowhere_is_named_with_all_places(folder: Path) -> None:
    where = rf"{folder / 'birds'} or {folder} or {folder / 'unpacked' / 'birds'}"
    with pytest.raises(DataError, match=f"^birds: no list.txt or images in {where}; expected the archive$"):
        require_place("birds", folder, PLACES, ["list.txt", "images"], "the archive")


def test_a_file_is_found_by_place_first_and_then_by_name(folder: Path) -> None:
    names = ("a.gz", "a")
    assert find_file(folder, PLACES, names) is None
    (folder / "birds" / "a.gz").mkdir()
    (folder / "a.gz").touch()
    assert find_file(folder, PLACES, names) == folder / "a.gz"
    (folder / "birds" / "a").touch()
    assert find_file(folder, PLACES, names) == folder / "birds" / "a"


def test_parts_lie_side_by_side_in_one_of_several_layouts(folder: Path) -> None:
    layouts, parts = ("birds/{}.txt", "{}.csv"), ("train", "test")
    assert find_parts("birds", folder, layouts, parts) is None
    (folder / "train.csv").touch()
    with pytest.raises(
        DataError, match=r"^birds: .*test\.csv is missing; expected train\.csv, test\.csv side by side$"
    ):
        find_parts("birds", folder, layouts, parts)
    (folder / "test.csv").touch()
    assert find_parts("birds", folder, layouts, parts) == [folder / "train.csv", folder / "test.csv"]
    (folder / "birds" / "test.txt").touch()
    with pytest.raises(
        DataError, match=r"^birds: two copies of the data, .*birds/\*\.txt and .*\*\.csv; keep one of them$"
    ):
        find_parts("birds", folder, layouts, parts)
