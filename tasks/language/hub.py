"""Text data sets as the Hugging Face hub has them, read by `datasets` from a local copy: a row a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.errors import DataError

SPLITS = {"train": "train", "valid": "validation", "test": "test"}  # ours -> the hub's
SAVED = "dataset_dict.json"
ROWS = 10_000


def is_copy(folder: Path) -> bool:
    """Whether `folder` is what `save_to_disk` wrote, or holds the hub's parquet files."""
    return (folder / SAVED).is_file() or any(folder.glob("train-*.parquet"))


def files(folder: Path) -> list[Path]:
    """The files of the copy's three splits, sorted."""
    form = "{}/*" if (folder / SAVED).is_file() else "{}-*.parquet"
    return sorted(path for name in SPLITS.values() for path in folder.glob(form.format(name)))


def lines(folder: Path, split: str, column: str = "text") -> Iterator[str]:
    """The rows' texts of "train", "valid" or "test"; nothing is fetched or cached.

    Raises DataError if the split or its column is missing, or a file is damaged.
    """
    from datasets import DatasetDict, load_dataset
    from datasets.exceptions import DatasetsError
    from pyarrow import ArrowException

    name = SPLITS[split]
    try:
        if (folder / SAVED).is_file():
            rows = DatasetDict.load_from_disk(folder)[name]
        else:
            parts = sorted(str(path) for path in folder.glob(f"{name}-*.parquet"))
            rows = load_dataset("parquet", data_files={name: parts}, split=name, streaming=True)
        empty = True
        for batch in rows.iter(ROWS):
            for row in dict(batch)[column]:
                if not isinstance(row, str):
                    raise ValueError(f"a row of {column} is {row!r}, not text")
                empty = empty and (not row or row.isspace())
                yield row
        if empty:
            raise ValueError(f"no row of {column} has a word")
    except (ArrowException, DatasetsError, KeyError, OSError, ValueError) as error:
        raise DataError(
            f"{folder}: split {name} cannot be read ({type(error).__name__}: {error}); expected a text data set of the"
            f" hub with a column `{column}` and splits {', '.join(SPLITS.values())}"
        ) from None
