"""Which records a store has, and the stamps of their files: by a listing and a look at each file."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from optathlon.results.store.files import names
from optathlon.results.store.index.part import Stamp

THREADS = 16
SAMPLE = 200
"""Files that are looked at one by one before it is judged whether that is slow here, as on a network file system."""
SLOW_OPEN = 0.2e-3
"""Seconds per file."""
_RECORD = re.compile(r"[0-9a-f]{16}\.json")


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
    shard, place = listed(folder), f"{folder}{os.sep}"
    stamps = {i: _stamp(f"{place}{i}.json") for i in shard.stamps if wanted is None or i in wanted}
    return shard._replace(stamps=stamps)


def listed(folder: Path) -> Shard:
    """One folder without a look at its files."""
    runs: dict[str, Stamp | None] = {}
    strange = []
    for name in names(folder):
        if _RECORD.fullmatch(name) and name[:2] == folder.name:
            runs[name[:-5]] = None
        else:
            strange.append(folder / name)
    return Shard(runs, strange)


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
