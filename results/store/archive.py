"""The committed records of a store, and the index that makes reading ten thousand of them quick."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import TypeVar

import msgspec

from optathlon.results.collector import without_collection
from optathlon.results.errors import StoreError
from optathlon.results.record import Record
from optathlon.results.store.files import read
from optathlon.results.store.index.current_rows import CurrentRows
from optathlon.results.store.index.light_records import Sharing
from optathlon.results.store.index.part import Stamp
from optathlon.results.store.index.part_writer import PartWriter
from optathlon.results.store.index.record_files import SAMPLE, SLOW_OPEN, THREADS, listed, looked_at, shards
from optathlon.results.store.index.record_index import LightRecords, RecordIndex
from optathlon.results.store.layout import Layout, checked_id
from optathlon.results.store.schema_versions import decode

T = TypeVar("T")
AHEAD, BATCH = 1024, 16
"""Records that are read before they are decoded, and how many of them by one task of a thread."""


class Archive(Layout):
    """Records below `root`. problems: what was found there and could not be used, each by name and with a remedy."""

    def __init__(self, root: Path | str) -> None:
        super().__init__(root)
        self.problems: list[str] = []
        self._sharing = Sharing()
        self._index = RecordIndex(self.root / "index", self._sharing)
        self._read_before: dict[bool, dict[str, tuple[Stamp | None, Record]]] = {False: {}, True: {}}
        """What was read of files: brief records and others, with the stamp that the file had before."""

    def commit(self, record: Record) -> bool:
        """Write the outcome of a run, on disk when this returns; False if it has one: the first wins."""
        return self._put(self._record(record.id), msgspec.json.encode(record) + b"\n")

    def record(self, run_id: str) -> Record | None:
        """The whole record of a run; None if it has none, StoreError if it cannot be read."""
        path = self._record(run_id)
        data = read(path)
        return None if data is None else self._decode(data, run_id, path)

    def finished(self) -> set[str]:
        """Ids of all runs that have a record, by listing folders only."""
        return self._listed()

    def records(self, ids: Iterable[str] | None = None, curves: bool = False, brief: bool = False) -> list[Record]:
        """The records of `ids` (all, if None) that exist, by id; those that cannot be read are named in `problems`.

        Without `curves` the points of curves are left empty, which lets the index answer. brief: without curves, and
        of the provenance only the attempt and the tree of the code, which is all that a board needs of large stores.
        """
        if curves:
            listed_ids = sorted(self._listed() if ids is None else self._listed().intersection(map(checked_id, ids)))
            return [r for i, data in self._read(listed_ids) if (r := self._usable(i, data))]
        records = self.records_by_id(ids, brief)
        return [records[run_id] for run_id in sorted(records)]

    def records_by_id(self, ids: Iterable[str] | None = None, brief: bool = False) -> Mapping[str, Record]:
        """As `records` without curves, by id, in no order. Those in the index are made when they are asked for.

        They come from memory or from the index, if their files are as they were then, else from the files.
        """
        return self._listed_records(None if ids is None else list(ids), brief)[0]

    def _listed_records(self, ids: Collection[str] | None, brief: bool) -> tuple[LightRecords, Set[str]]:
        """As `records_by_id`, and those of `ids` whose record cannot be used."""
        with without_collection():
            indexed, changed = self._current_rows(ids, brief)
            before, records = self._read_before[brief], {}
            for run_id in before.keys() & changed.keys():
                stamp, record = before[run_id]
                if stamp and stamp == changed[run_id]:
                    records[run_id] = record
            for run_id, data in self._read(sorted(changed.keys() - records.keys())):
                if record := self._usable(run_id, data):
                    records[run_id] = self._sharing.light(record, brief)
                    before[run_id] = changed[run_id], records[run_id]
            return LightRecords(indexed, records, brief), changed.keys() - records.keys()

    def written(self) -> Iterator[tuple[Record, bytes]]:
        """Every record with its bytes as they are on disk, by id; those that cannot be read are named in `problems`."""
        for run_id, data in self._read(sorted(self._listed())):
            if record := self._usable(run_id, data):
                yield record, data

    def adopt(self, run_id: str, data: bytes) -> bool:
        """Write the record of a run as another store has it, to the byte; False if the run has one: the first wins."""
        return self._put(self._record(run_id), data)

    def compact(self) -> int:
        """Bring the index, which may be deleted at any time, up to date; returns how many records it holds."""
        with without_collection():
            # Before the records are read, so that one which is replaced meanwhile does not match its stamp.
            indexed, changed = self._current_rows()
            added = PartWriter()
            for run_id, data in self._read(sorted(changed)):
                if (stamp := changed[run_id]) and (record := self._usable(run_id, data)):
                    added.add(record, stamp)
            count = sum(map(len, indexed)) + len(added.ids)
            self._index.extend(added, indexed)
        with contextlib.suppress(OSError):  # as versions before 0.2 wrote it
            (self.root / "index.jsonl").unlink()
        return count

    def _listed(self) -> set[str]:
        runs: set[str] = set()
        for folder in shards(self.root / "records"):
            of_folder = listed(folder)
            self._name_strange(of_folder.strange)
            runs.update(of_folder.runs)
        return runs

    def _current_rows(
        self, ids: Collection[str] | None = None, brief: bool = False
    ) -> tuple[list[CurrentRows], dict[str, Stamp | None]]:
        """What the index has of `ids` (all, if None) as their files are now, and the stamps of the others."""
        chosen = None if ids is None else frozenset(ids)
        indexed = [CurrentRows(part, ids) for part in self._index.parts(brief)]
        # What a part has, has an id of the right form.
        if chosen is not None and all(of_part.wanted_count < len(chosen) for of_part in indexed):
            for run_id in chosen:
                checked_id(run_id)
        changed: dict[str, Stamp | None] = {}
        for shard in looked_at(shards(self.root / "records"), chosen, indexed):
            self._name_strange(shard.strange)
            changed.update(shard.stamps)
        return indexed, changed

    def _name_strange(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self._problem(f"{path}: is not a record's file (<16 hex digits>.json); remove it")

    def _read(self, ids: list[str]) -> Iterator[tuple[str, bytes]]:
        """The bytes of the records that there are."""
        paths = list(map(self._record_name, ids))
        for run_id, path, data in zip(ids, paths, _all_of(_bytes, paths), strict=True):
            if isinstance(data, OSError):
                self._problem(f"{path}: cannot be read ({data.strerror})")
            elif isinstance(data, StoreError):
                self._problem(str(data))
            elif data is not None:
                yield run_id, data
            elif os.path.islink(path):
                self._problem(f"{path}: is a link to nothing; remove it")

    def _usable(self, run_id: str, data: bytes) -> Record | None:
        try:
            return self._decode(data, run_id, self._record_name(run_id))
        except StoreError as error:
            self._problem(f"{error}; `optathlon forget {run_id}` moves it away")
            return None

    def _decode(self, data: bytes, run_id: str, where: object) -> Record:
        record = decode(data, Record, where)
        if record.id != run_id:
            raise StoreError(f"{where}: holds run {record.id}, a copy under another name")
        return record

    def _problem(self, message: str) -> None:
        if message not in self.problems:
            self.problems.append(message)


def _bytes(path: str) -> bytes | OSError | StoreError | None:
    """What the file holds, or why it cannot be read; None if there is none."""
    try:
        return read(path)
    except (OSError, StoreError) as error:
        return error


def _all_of(ask: Callable[[str], T], paths: Sequence[str]) -> Iterator[T]:
    """`ask` of each path, in order; with threads if files are slow here, as on a network file system."""
    start = time.perf_counter()
    first = [ask(path) for path in paths[:SAMPLE]]
    yield from first
    rest = paths[SAMPLE:]
    if time.perf_counter() - start <= SLOW_OPEN * len(first):
        yield from map(ask, rest)
        return
    from concurrent.futures import ThreadPoolExecutor

    # Several a task, as handing over each of 100,000 takes as long as reading it.
    size = max(1, min(BATCH, len(rest) // THREADS))
    batches = [rest[begin : begin + size] for begin in range(0, len(rest), size)]
    with ThreadPoolExecutor(THREADS) as pool:
        for begin in range(0, len(batches), AHEAD // BATCH):
            for answers in pool.map(lambda batch: list(map(ask, batch)), batches[begin : begin + AHEAD // BATCH]):
                yield from answers
