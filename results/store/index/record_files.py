"""Which records a store has, and which of their files are as the index has them: by a listing and a look at each."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection, Container, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from optathlon.results.store.files import listing, names
from optathlon.results.store.index.current_rows import CurrentRows
from optathlon.results.store.index.part import Stamp

THREADS = 16
SAMPLE = 200
"""Files that are looked at one by one before it is judged whether that is slow here, as on a network file system."""
SLOW_OPEN = 0.2e-3
"""Seconds per file."""
SHARD_DIGITS = 2
_RECORDS = re.compile(r"(?:/[0-9a-f]{16}\.json)*+")


class Listed(NamedTuple):
    """What a folder of records holds."""

    runs: list[str]
    strange: list[Path]
    """Names that are none of a record."""


class Shard(NamedTuple):
    """What is left of a folder of records where the index has the others as they are."""

    stamps: dict[str, Stamp | None]
    """By run; None where the file cannot be looked at."""
    strange: list[Path]
    looks: int
    """How many files were looked at, those that the index has as they are among them."""


def shards(records: Path) -> list[Path]:
    """The folders below the folder `records` of a store."""
    return [records / name for name in names(records)]


def looked_at(
    folders: Sequence[Path], chosen: Container[str] | None, indexed: Sequence[CurrentRows]
) -> Iterator[Shard]:
    """Each of `folders` as `look` finds it, by threads where that takes long."""
    begun, files = time.perf_counter(), 0
    for number, folder in enumerate(folders, start=1):
        shard = look(folder, chosen, indexed)
        yield shard
        files += shard.looks
        if files >= SAMPLE and time.perf_counter() - begun > SLOW_OPEN * files:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(THREADS) as pool:
                yield from pool.map(lambda folder: look(folder, chosen, indexed), folders[number:])
            return


def look(folder: Path, chosen: Container[str] | None, indexed: Sequence[CurrentRows] = ()) -> Shard:
    """Tells `indexed` which files in a folder are current; returns the stamps of the others that are of the runs
    `chosen` (all, if None)."""
    entries = listing(folder)
    left = set(entries)
    with _opened(folder) as descriptor:
        if descriptor is not None and len(folder.name) == SHARD_DIGITS:
            for rows in indexed:
                rows.confirm(folder.name, left, descriptor)
        runs, strange = sorted_out(folder, left)
        stamps = {run: _stamp(run, descriptor) for run in runs if chosen is None or run in chosen}
    return Shard(stamps, strange, len(entries) - len(left) + len(stamps))


def listed(folder: Path) -> Listed:
    """One folder without a look at its files."""
    return sorted_out(folder, listing(folder))


def sorted_out(folder: Path, entries: Collection[str]) -> Listed:
    """The names `entries` in a folder, without hidden ones."""
    together = "/".join(("", *entries))
    # All at once, since one by one would be as long as the looks at the files.
    if (
        len(folder.name) == SHARD_DIGITS
        and _RECORDS.fullmatch(together)
        and together.count(f"/{folder.name}") == len(entries)
    ):
        return Listed([name[:16] for name in entries], [])
    shown = sorted(name for name in entries if not name.startswith("."))
    runs = [name[:16] for name in shown if _RECORDS.fullmatch(f"/{name}") and name[:SHARD_DIGITS] == folder.name]
    of_runs = frozenset(f"{run}.json" for run in runs)
    return Listed(runs, [folder / name for name in shown if name not in of_runs])


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int | None]:
    """A descriptor for looks at the files in `folder`, as a walk down the whole path would be repeated for each; None
    where it cannot be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _stamp(run: str, descriptor: int | None) -> Stamp | None:
    if descriptor is None:
        return None
    try:
        status = os.stat(f"{run}.json", dir_fd=descriptor)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
