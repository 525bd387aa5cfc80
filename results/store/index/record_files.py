"""Which records a store has, and the stamps of their files: by a listing and a look at each file."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from optathlon.results.store.files import listing, names
from optathlon.results.store.index.part import Stamp

THREADS = 16
SAMPLE = 200
"""Files that are looked at one by one before it is judged whether that is slow here, as on a network file system."""
SLOW_OPEN = 0.2e-3
"""Seconds per file."""
_RECORDS = re.compile(r"(?:/[0-9a-f]{16}\.json)*+")


class Shard(NamedTuple):
    """What a folder of records holds."""

    stamps: dict[str, Stamp | None]
    """By run; None where the file cannot be looked at."""
    strange: list[Path]
    """Names that are none of a record."""


def shards(records: Path) -> list[Path]:
    """The folders below the folder `records` of a store."""
    return [records / name for name in names(records)]


def looked_at(folders: Sequence[Path], chosen: Container[str] | None) -> Iterator[Shard]:
    """Each of `folders` with the stamps of the runs `chosen` (all, if None), by threads where that takes long."""
    begun, files = time.perf_counter(), 0
    for number, folder in enumerate(folders, start=1):
        shard = look(folder, chosen)
        yield shard
        files += len(shard.stamps)
        if files >= SAMPLE and time.perf_counter() - begun > SLOW_OPEN * files:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(THREADS) as pool:
                yield from pool.map(lambda folder: look(folder, chosen), folders[number:])
            return


def look(folder: Path, wanted: Container[str] | None) -> Shard:
    """One folder with the stamps of the runs `wanted` (all, if None)."""
    shard = listed(folder)
    runs = shard.stamps if wanted is None else [run for run in shard.stamps if run in wanted]
    return shard._replace(stamps=_stamps(folder, runs))


def listed(folder: Path) -> Shard:
    """One folder without a look at its files."""
    entries = listing(folder)
    together = "/".join(("", *entries))
    # All at once, since one by one would be as long as the looks at the files.
    if len(folder.name) == 2 and _RECORDS.fullmatch(together) and together.count(f"/{folder.name}") == len(entries):
        return Shard(dict.fromkeys([name[:16] for name in entries]), [])
    shown = sorted(name for name in entries if not name.startswith("."))
    runs = [name[:16] for name in shown if _RECORDS.fullmatch(f"/{name}") and name[:2] == folder.name]
    listed_runs = frozenset(f"{run}.json" for run in runs)
    return Shard(dict.fromkeys(runs), [folder / name for name in shown if name not in listed_runs])


def _stamps(folder: Path, runs: Iterable[str]) -> dict[str, Stamp | None]:
    stamps: dict[str, Stamp | None] = dict.fromkeys(runs)
    try:
        # By the folder, as a walk down the whole path would be repeated for each file.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return stamps
    try:
        for run in stamps:
            try:
                status = os.stat(f"{run}.json", dir_fd=descriptor)
            except OSError:
                continue
            stamps[run] = status.st_size, status.st_mtime_ns
    finally:
        os.close(descriptor)
    return stamps
