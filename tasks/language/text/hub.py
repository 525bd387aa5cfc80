"""Text data sets as the Hugging Face hub has them, read from a local copy: a row a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from optathlon.tasks.errors import DataError, one_line

SPLITS = {"train": "train", "valid": "validation", "test": "test"}  # ours -> the hub's
SAVED = "dataset_dict.json"
FORMS = ("{}-*.parquet", "{}/[0-9]*.parquet")
"""Parquet files of a split, as `datasets` uploads them and as the hub's converter names them."""
ENTRIES = (SAVED, *SPLITS.values(), *(f"{name}-*.parquet" for name in SPLITS.values()))
"""Names of what lies in the folder of a copy."""
ROWS = 10_000


def is_copy(folder: Path) -> bool:
    """Whether `folder` is what `save_to_disk` wrote, or holds the hub's parquet files."""
    return (folder / SAVED).is_file() or any(path for form in FORMS for path in folder.glob(form.format("train")))


def find(folder: Path, configurations: Iterable[str]) -> Path | None:
    """The copy in `folder` or in one of its folders `configurations`, as a repository of the hub has them; or None."""
    return next((place for place in (folder, *(folder / name for name in configurations)) if is_copy(place)), None)


def files(folder: Path) -> list[Path]:
    """The files of the copy's three splits, sorted."""
    forms = ("{}/*",) if (folder / SAVED).is_file() else FORMS
    return sorted(path for name in SPLITS.values() for form in forms for path in folder.glob(form.format(name)))


def lines(folder: Path, split: str, column: str = "text") -> Iterator[str]:
    """The rows' texts of "train", "valid" or "test"; nothing is fetched or cached.

    Raises DataError if the split, its column or one of its files is missing, or a file is damaged.
    """
    from datasets.exceptions import DatasetsError
    from pyarrow import ArrowException

    name = SPLITS[split]
    batches = _saved if (folder / SAVED).is_file() else _parquet
    try:
        empty = True
        for row in chain.from_iterable(batches(folder, name, column)):
            if not isinstance(row, str):
                raise ValueError(f"a row of {column} is {row!r}, not text")
            empty = empty and (not row or row.isspace())
            yield row
        if empty:
            raise ValueError(f"no row of {column} has a word")
    except (ArrowException, DatasetsError, AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder}: split {name} cannot be read ({type(error).__name__}: {one_line(error):.300}); expected a text"
            f" data set of the hub with a column `{column}` and splits {', '.join(SPLITS.values())}"
        ) from None


def _saved(folder: Path, name: str, column: str) -> Iterator[list[Any]]:
    from datasets import DatasetDict

    for batch in DatasetDict.load_from_disk(folder)[name].iter(ROWS):
        yield dict(batch)[column]


def _parquet(folder: Path, name: str, column: str) -> Iterator[list[Any]]:
    """Not by `load_dataset`, which asks the network also for what is here, and waits where nothing answers."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    for part in _parts(folder, name):
        try:
            with ParquetFile(part) as file:
                for batch in file.iter_batches(ROWS, columns=[column]):
                    yield batch.column(column).to_pylist()
        except (ArrowException, KeyError, OSError) as error:
            raise ValueError(f"{part.relative_to(folder)}: {type(error).__name__}: {one_line(error)}") from None


def _parts(folder: Path, name: str) -> list[Path]:
    """The parquet files of a split, in order; ValueError if there are not as many as their names say."""
    uploaded, converted = (sorted(folder.glob(form.format(name))) for form in FORMS)
    parts = uploaded or converted
    announced = {int(match[1]) for part in uploaded if (match := re.search(r"-of-(\d+)[^/]*$", part.name))}
    if not uploaded and converted and converted[-1].stem.isdecimal():
        announced = {int(converted[-1].stem) + 1}
    if not parts:
        raise ValueError(f"there is no {name}-*.parquet")
    if announced and announced != {len(parts)}:
        counts = " or ".join(map(str, sorted(announced)))
        raise ValueError(f"{len(parts)} parquet files of {name}, but by their names it is {counts}")
    return parts
