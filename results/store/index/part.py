"""One part of a store's index: light records in columns, with checksums, in a file that is never changed.

The file is a line that names the format, then two sections: what boards need, and the provenances. A section is a
CRC-32, a length, and as many bytes of MessagePack. Numbers are columns of machine words; what many records share
(problems, settings, names of scores) stands once, and records refer to its place. Rows are ordered as boards ask for
them, by problem, setting and seed; what is known of the records' files, as they are listed, by id. Neighbours in memory
are read several times as fast.

It is neither Arrow nor Parquet, whose library takes longer to import than 10,000 records take to be read. And it is
read, not mapped: another host may remove the file, which on NFS turns a look at a mapping into a SIGBUS.
"""

from __future__ import annotations

import struct
import sys
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, TypeVar

import msgspec

from optathlon.results.record import SCHEMA, Record, Score
from optathlon.results.scores import usable
from optathlon.results.store.files import open_to_read
from optathlon.results.store.index.light_records import Sharing

T = TypeVar("T")
FORMAT = f"optathlon index 2, records {SCHEMA}, {sys.byteorder} endian\n".encode()
ID_DIGITS = 16
HEAD = struct.Struct("=IQ")
"""Of a section: CRC-32 of the length and the bytes that follow, and the length."""
INT, PLACE, OFFSET, FLOAT = "q", "I", "Q", "d"
"""Types of columns, as `array` and `memoryview` name them."""

Stamp = tuple[int, int]
"""Size in bytes and time of last change in nanoseconds of a record's file. They tell whether it is the one that was
read, and are compared for equality, since a record may be replaced by one with an older date."""

FinishedScore = tuple[float, int]
"""A score of a finished run, and its updates."""


class DamagedPart(Exception):  # noqa: N818
    """The file is not as this version writes it."""


class Kind(msgspec.Struct, frozen=True, array_like=True):
    """What the records of one task have in common, their problem apart."""

    status: Literal["finished", "diverged"]
    headline: str
    selection: str | None
    curve_unit: str
    has_divergence: bool
    """Whether `diverged_at` is a number."""
    scores: tuple[tuple[str, str, bool], ...]
    """Name, unit and higher_is_better of each score."""

    def finished_places(self) -> dict[tuple[str, bool], int]:
        """The places of its scores by name and direction, if it is finished; of scores of one name, only the first."""
        first: dict[str, int] = {}
        for place, (name, _, _) in enumerate(self.scores):
            first.setdefault(name, place)
        finished = first.items() if self.status == "finished" else ()
        return {(name, self.scores[place][2]): place for name, place in finished}


class _Documents:
    """A value of any kind per record."""

    def __init__(self, section: _DocumentSection) -> None:
        self._data, self._ends = section.data, section.ends.cast(OFFSET)

    def value(self, row: int) -> Any:
        return msgspec.msgpack.decode(self._data[self._ends[row - 1] if row else 0 : self._ends[row]])


class _DocumentSection(msgspec.Struct, frozen=True, array_like=True):
    """MessagePack of each record one behind the other, and the offsets at which each ends."""

    data: memoryview
    ends: memoryview


class _FileColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of what is known of the records' files, ordered by id."""

    ids: memoryview
    rows: memoryview
    """Where the record stands in the other columns."""
    sizes: memoryview
    changed: memoryview


class _Columns(msgspec.Struct, frozen=True, kw_only=True):
    """What boards need. Each memoryview is a column: one number per record, unless it says otherwise."""

    files: _FileColumns
    ids: memoryview
    problems: list[tuple[str, dict[str, Any]]]
    """Digest and value of each that occurs; `problem_at` has places in this list."""
    problem_at: memoryview
    settings: list[tuple[str, dict[str, Any]]]
    setting_at: memoryview
    kinds: list[Kind]
    kind_at: memoryview
    origins: list[dict[str, Any]]
    """Brief provenances."""
    origin_at: memoryview
    seeds: memoryview
    updates: memoryview
    diverged_at: memoryview
    scores: memoryview
    """Of all records one behind the other, with NaN, which no record can hold, for None."""
    scores_from: memoryview
    """Where the scores of a record begin."""
    weights: _DocumentSection


class Outcome(NamedTuple):
    """How a run came out."""

    status: Literal["finished", "diverged"]
    diverged_at: int | None
    attempt: int
    """The number of the attempt that made the record; 0 if it does not say."""


class Files:
    """The files of the records of a part, ordered by id, as they were when they were read for it."""

    def __init__(self, columns: _FileColumns) -> None:
        self._ids, self._rows = _ids(columns.ids), columns.rows.cast(PLACE)
        self._sizes, self._changed = columns.sizes.cast(INT), columns.changed.cast(INT)

    def __iter__(self) -> Iterator[tuple[str, int, int, int]]:
        """Yields id, row, size and time of change of each."""
        return zip(self._ids, self._rows, self._sizes, self._changed, strict=True)

    def in_folder(self, folder: str) -> Iterator[tuple[str, int, int, int]]:
        """Those of the runs whose ids begin with `folder`, two digits."""
        place = slice(bisect_left(self._ids, folder), bisect_left(self._ids, f"{folder}g"))
        return zip(self._ids[place], self._rows[place], self._sizes[place], self._changed[place], strict=True)


class Part:
    """The records in the file `path`, each made when it is first asked for.

    sharing: holds once what is equal in the records of several parts. Raises DamagedPart, or OSError where the file
    cannot be read or is gone.
    """

    def __init__(self, path: Path, sharing: Sharing) -> None:
        self.path, self._sharing = path, sharing
        with open_to_read(path) as file:
            if file.read(len(FORMAT)) != FORMAT:
                raise DamagedPart(f"{path}: does not begin with {FORMAT!r}")
            columns = _section(file, _Columns, path)
            self._provenances_from = file.tell()
        self._provenances: _Documents | None = None
        self.files = Files(columns.files)
        self.ids = _ids(columns.ids)
        """The run of each row."""
        self.rows = dict(zip(self.ids, range(len(self.ids)), strict=True))
        """The row of each run."""
        self._problems = [(digest, sharing.value(digest, problem)) for digest, problem in columns.problems]
        self._settings = [(digest, sharing.value(digest, setting)) for digest, setting in columns.settings]
        self._kinds = columns.kinds
        self._finished_places = [kind.finished_places() for kind in columns.kinds]
        self._origins = list(map(sharing.origin, columns.origins))
        self._problem_at, self._setting_at = columns.problem_at.cast(PLACE), columns.setting_at.cast(PLACE)
        self._kind_at, self._origin_at = columns.kind_at.cast(PLACE), columns.origin_at.cast(PLACE)
        self._seeds, self._updates = columns.seeds.cast(INT), columns.updates.cast(INT)
        self._diverged_at = columns.diverged_at.cast(INT)
        self._scores, self._scores_from = columns.scores.cast(FLOAT), columns.scores_from.cast(OFFSET)
        self._weights = _Documents(columns.weights)
        self._made: dict[bool, dict[int, Record]] = {False: {}, True: {}}

    def load_provenances(self) -> None:
        """Read what `record` needs where it is not to be brief; raises as the class does."""
        if self._provenances is None:
            with open_to_read(self.path) as file:
                file.seek(self._provenances_from)
                self._provenances = _Documents(_section(file, _DocumentSection, self.path))

    def record(self, row: int, brief: bool) -> Record:
        """The light record in `row`, one object however often it is asked for."""
        made = self._made[brief]
        if row not in made:
            made[row] = self.make(row, brief)
        return made[row]

    def make(self, row: int, brief: bool) -> Record:
        """As `record`, and forgotten again."""
        problem_digest, problem = self._problems[self._problem_at[row]]
        setting_digest, setting = self._settings[self._setting_at[row]]
        kind = self._kinds[self._kind_at[row]]
        assert brief or self._provenances is not None, "load_provenances comes first"
        return Record(
            id=self.ids[row],
            digests=self._sharing.identity(problem_digest, setting_digest),
            problem=problem,
            setting=setting,
            seed=self._seeds[row],
            status=kind.status,
            scores=self._scores_of(row, kind),
            headline=kind.headline,
            selection=kind.selection,
            updates=self._updates[row],
            diverged_at=self._diverged_at[row] if kind.has_divergence else None,
            weights=self._weights.value(row),
            curve=self._sharing.curve(kind.curve_unit),
            provenance=self._origins[self._origin_at[row]] if brief else self._provenances.value(row),  # pyright: ignore
        )

    def outcome(self, row: int) -> Outcome:
        """How the run in `row` came out, for which no record need be made."""
        kind = self._kinds[self._kind_at[row]]
        diverged_at = self._diverged_at[row] if kind.has_divergence else None
        return Outcome(kind.status, diverged_at, self._origins[self._origin_at[row]].get("attempt", 0))

    def finished_scores(
        self, rows: Iterable[int | None], settings: Iterable[str], problem: str, metric: str, higher_is_better: bool
    ) -> list[FinishedScore | None]:
        """The score `metric` in each of `rows`, for which no record need be made.

        None where only the record tells more: unless the run is of the problem and of its one of `settings`, given as
        digests, is finished, and has a usable score of that name and direction.
        """
        places = [of_kind.get((metric, higher_is_better)) for of_kind in self._finished_places]
        problems = [digest for digest, _ in self._problems]
        known_settings = [digest for digest, _ in self._settings]
        scores: list[FinishedScore | None] = []
        for row, setting in zip(rows, settings, strict=True):
            score = None
            if (
                row is not None
                and (place := places[self._kind_at[row]]) is not None
                and known_settings[self._setting_at[row]] == setting
                and problems[self._problem_at[row]] == problem
                and usable(value := self._scores[self._scores_from[row] + place])
            ):
                score = value, self._updates[row]
            scores.append(score)
        return scores

    def _scores_of(self, row: int, kind: Kind) -> list[Score]:
        start = self._scores_from[row]
        values = self._scores[start : start + len(kind.scores)].tolist()
        return [
            # Only NaN differs from itself.
            Score(name=name, unit=unit, higher_is_better=higher, value=value if value == value else None)
            for (name, unit, higher), value in zip(kind.scores, values, strict=True)
        ]


def _ids(column: memoryview) -> list[str]:
    return column.hex("/", ID_DIGITS // 2).split("/") if column else []


def _section(file: BinaryIO, kind: type[T], path: Path) -> T:
    head = file.read(HEAD.size)
    if len(head) == HEAD.size:
        checksum, length = HEAD.unpack(head)
        # A damaged length may be larger than the memory.
        body = file.read(min(length, path.stat().st_size))
        if len(body) == length and checksum_of(length, body) == checksum:
            return msgspec.msgpack.decode(body, type=kind)
    raise DamagedPart(f"{path}: is damaged")


def checksum_of(length: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(length.to_bytes(8, "little")))
