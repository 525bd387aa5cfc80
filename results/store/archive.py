"""The committed records of a store, and the index that makes reading ten thousand of them quick."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from optathlon.results.errors import StoreError
from optathlon.results.record import Record
from optathlon.results.store.files import names, read, replace
from optathlon.results.store.layout import Layout, checked_id
from optathlon.results.store.light_records import Sharing
from optathlon.results.store.schema_versions import decode

T = TypeVar("T")
THREADS = 16
AHEAD = 1024  # records that are read before they are decoded
SAMPLE = 200
SLOW_OPEN = 0.2e-3
_KEY, _FILE = b'{"id":"', b'","file":"'  # of a line of the index; "file" is the record's stamp
_RECORD = re.compile(r"[0-9a-f]{16}\.json")


class Archive(Layout):
    """Records below `root`. problems: what was found there and could not be used, each by name and with a remedy."""

    def __init__(self, root: Path | str) -> None:
        super().__init__(root)
        self.problems: list[str] = []
        self._known: dict[bool, dict[str, tuple[bytes, Record]]] = {False: {}, True: {}}
        self._sharing = Sharing()

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
        there = self._listed()
        wanted = sorted(there if ids is None else {checked_id(i) for i in ids} & there)
        if curves:
            return [r for i, data in self._read(wanted) if (r := self._usable(i, data))]
        return self._light_records(wanted, brief)

    def _light_records(self, wanted: list[str], brief: bool) -> list[Record]:
        """The records of `wanted` from memory, else from the index, if their files are as they were then, else from the
        files."""
        known, stamps = self._known[brief], self._stamps(wanted)
        changed = {i for i in wanted if i not in known or known[i][0] != stamps[i] or not stamps[i]}
        for run_id in changed:
            known.pop(run_id, None)
        if changed:
            with _no_collection():
                for run_id, stamp, line in self._index():
                    if (
                        run_id in changed
                        and stamp == stamps[run_id]
                        and (record := self._from_line(run_id, line, brief))
                    ):
                        known[run_id] = stamp, record
        for run_id, data in self._read(sorted(changed - known.keys())):
            if record := self._usable(run_id, data):
                known[run_id] = stamps[run_id], self._sharing.light(record, brief)
        return [known[i][1] for i in wanted if i in known]

    def written(self) -> Iterator[tuple[Record, bytes]]:
        """Every record with its bytes as they are on disk, by id; those that cannot be read are named in `problems`."""
        for run_id, data in self._read(sorted(self._listed())):
            if record := self._usable(run_id, data):
                yield record, data

    def adopt(self, run_id: str, data: bytes) -> bool:
        """Write the record of a run as another store has it, to the byte; False if the run has one: the first wins."""
        return self._put(self._record(run_id), data)

    def compact(self) -> int:
        """Write index.jsonl, which may be deleted at any time, anew; returns how many records it holds."""
        # Before the records are read, so that one which is replaced meanwhile does not match its stamp.
        stamps = self._stamps(self._listed())
        lines = {
            i: line
            for i, stamp, line in self._index()
            if stamp == stamps.get(i) and self._from_index(i, line) is not None
        }
        for run_id, data in self._read(sorted(stamps.keys() - lines.keys())):
            if self._usable(run_id, data):
                lines[run_id] = _index_line(data, stamps[run_id])
        if stamps:
            replace(self.root / "index.jsonl", (lines[i] for i in sorted(lines)))
        return len(lines)

    def _listed(self) -> set[str]:
        found = set()
        for shard in names(self.root / "records"):
            folder = self.root / "records" / shard
            for name in names(folder):
                if _RECORD.fullmatch(name) and name.startswith(shard) and len(shard) == 2:
                    found.add(name[:-5])
                else:
                    self._problem(f"{folder / name}: is not a record's file (<16 hex digits>.json); remove it")
        return found

    def _from_line(self, run_id: str, line: bytes, brief: bool) -> Record | None:
        if found := self._sharing.of_line(run_id, line, brief):
            return found
        record = self._from_index(run_id, line)
        return self._sharing.light(record, brief) if record else None

    def _from_index(self, run_id: str, line: bytes) -> Record | None:
        """The record in a line of the index; None if the line is damaged, so that the record itself is read."""
        with contextlib.suppress(StoreError):
            return self._decode(line, run_id, "index.jsonl")
        return None

    def _index(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Id, stamp and line of each record in the index. A line that is damaged, or without stamp and checksum as
        older versions wrote it, is left out."""
        begin = len(_KEY) + 16
        with contextlib.suppress(OSError), (self.root / "index.jsonl").open("rb") as file:
            for line in file:
                if line.startswith(_KEY) and line.startswith(_FILE, begin) and line.endswith(b"}\n"):
                    end = line.find(b'"', begin + len(_FILE))
                    stamp, _, checksum = line[begin + len(_FILE) : end].rpartition(b",")
                    if checksum == _checksum(line[len(_KEY) : begin], stamp, line[end:]):
                        yield line[len(_KEY) : begin].decode(errors="replace"), stamp, line

    def _stamps(self, ids: Iterable[str]) -> dict[str, bytes]:
        """By id the size and the time of last change of a record's file, which tell whether it is still the one that
        was read: compared for equality, since a record may be replaced by an older one. Empty where there is none."""
        ids = list(ids)
        records = str(self.root / "records")
        paths = [f"{records}/{run_id[:2]}/{run_id}.json" for run_id in ids]
        return dict(zip(ids, _all_of(_stamp, paths), strict=True))

    def _read(self, ids: list[str]) -> Iterator[tuple[str, bytes]]:
        """The bytes of the records that there are."""
        paths = [str(self._record(i)) for i in ids]
        for run_id, path, data in zip(ids, paths, _all_of(_bytes, paths), strict=True):
            if isinstance(data, OSError):
                self._problem(f"{path}: cannot be read ({data.strerror})")
            elif data is not None:
                yield run_id, data
            elif os.path.islink(path):
                self._problem(f"{path}: is a link to nothing; remove it")

    def _usable(self, run_id: str, data: bytes) -> Record | None:
        try:
            return self._decode(data, run_id, self._record(run_id))
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


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Without the cycle collector, which would look through all records again and again while none can be garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _bytes(path: str) -> bytes | OSError | None:
    """What the file holds, or why it cannot be read; None if there is none."""
    try:
        return read(path)
    except OSError as error:
        return error


def _stamp(path: str) -> bytes:
    try:
        status = os.stat(path)
    except OSError:
        return b""
    return b"%d,%d" % (status.st_size, status.st_mtime_ns)


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

    with ThreadPoolExecutor(THREADS) as pool:
        for begin in range(0, len(rest), AHEAD):
            yield from pool.map(ask, rest[begin : begin + AHEAD])


def _index_line(data: bytes, stamp: bytes) -> bytes:
    """A record's bytes on one line, its id first, then its file's stamp with a checksum, without the bulk.

    Fields that this version does not know are kept.
    """
    values = msgspec.json.decode(data)
    if "points" in (curve := values.get("curve", {})):
        values["curve"] = curve | {"points": {}}
    run_id, rest = values.pop("id").encode(), b'",' + msgspec.json.encode(values)[1:] + b"\n"
    return b"".join((_KEY, run_id, _FILE, stamp, b",", _checksum(run_id, stamp, rest), rest))


def _checksum(*parts: bytes) -> bytes:
    """Of a line of the index, where a single wrong bit may be another score."""
    return b"%08x" % functools.reduce(lambda sum_so_far, part: zlib.crc32(part, sum_so_far), parts, 0)
