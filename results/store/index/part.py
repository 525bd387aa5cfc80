"""One part of a store's index: light records in columns, with checksums, in a file that is never changed.

The file is a line that names the format, then two sections: what boards need, and the provenances. A section is a
CRC-32, a length, and as many bytes of MessagePack. Numbers are columns of machine words; what many records share
(problems, settings, names of scores) stands once, and records refer to its place.

It is neither Arrow nor Parquet, whose library takes longer to import than 10,000 records take to be read. And it is
read, not mapped: another host may remove the file, which on NFS turns a look at a mapping into a SIGBUS.
"""

from __future__ import annotations

import math
import struct
import sys
import zlib
from array import array
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Generic, Literal, NamedTuple, TypeVar

import msgspec

from optathlon.results.record import SCHEMA, Record, Score
from optathlon.results.scores import usable
from optathlon.results.store.files import open_to_read
from optathlon.results.store.index.light_records import Sharing, brief_provenance

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)
FORMAT = f"optathlon index 1, records {SCHEMA}, {sys.byteorder} endian\n".encode()
ID_DIGITS = 16
_HEAD = struct.Struct("=IQ")
"""Of a section: CRC-32 of the length and the bytes that follow, and the length."""
INT, PLACE, OFFSET, FLOAT = "q", "I", "Q", "d"
"""Types of columns, as `array` and `memoryview` name them."""

Stamp = tuple[int, int]
"""Size in bytes and time of last change in nanoseconds of a record's file. They tell whether it is the one that was
read, and are compared for equality, since a record may be replaced by one with an older date."""


class DamagedPart(Exception):  # noqa: N818
    """The file is not as this version writes it."""


class _Kind(msgspec.Struct, frozen=True, array_like=True):
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


class _Columns(msgspec.Struct, frozen=True, kw_only=True):
    """What boards need. Each memoryview is a column: one number per record, unless it says otherwise."""

    ids: memoryview
    sizes: memoryview
    changed: memoryview
    problems: list[tuple[str, dict[str, Any]]]
    """Digest and value of each that occurs; `problem_at` has places in this list."""
    problem_at: memoryview
    settings: list[tuple[str, dict[str, Any]]]
    setting_at: memoryview
    kinds: list[_Kind]
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
        ids = columns.ids.hex()
        self.rows = {ids[start : start + ID_DIGITS]: row for row, start in enumerate(range(0, len(ids), ID_DIGITS))}
        """The row of each run."""
        self.stamps: list[Stamp] = list(zip(columns.sizes.cast(INT), columns.changed.cast(INT), strict=True))
        self._ids = list(self.rows)
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

    def unchanged(self, stamps: Mapping[str, Stamp | None]) -> dict[str, int]:
        """The row of each run whose file had the same stamp when it was read for this part."""
        rows, before = self.rows, self.stamps
        return {
            run: row for run, stamp in stamps.items() if (row := rows.get(run)) is not None and before[row] == stamp
        }

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
            id=self._ids[row],
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

    def finished_score(
        self, row: int, problem: str, setting: str, metric: str, higher_is_better: bool
    ) -> tuple[float, int] | None:
        """The score `metric` of the run in `row`, and its updates, for which no record need be made.

        None where only the record tells more: unless the run is of the problem and the setting with these digests, is
        finished, and has a usable score of that name and direction.
        """
        place = self._finished_places[self._kind_at[row]].get((metric, higher_is_better))
        if place is None or self._settings[self._setting_at[row]][0] != setting:
            return None
        if self._problems[self._problem_at[row]][0] != problem:
            return None
        score = self._scores[self._scores_from[row] + place]
        return (score, self._updates[row]) if usable(score) else None

    def _scores_of(self, row: int, kind: _Kind) -> list[Score]:
        start = self._scores_from[row]
        values = self._scores[start : start + len(kind.scores)].tolist()
        return [
            # Only NaN differs from itself.
            Score(name=name, unit=unit, higher_is_better=higher, value=value if value == value else None)
            for (name, unit, higher), value in zip(kind.scores, values, strict=True)
        ]


class _Shared(Generic[H]):
    """A column of values that occur often: each stands once, and the rows have its place."""

    def __init__(self) -> None:
        self.places: dict[H, int] = {}
        self.column = array(PLACE)

    def append(self, value: H) -> None:
        self.column.append(self.places.setdefault(value, len(self.places)))


class PartWriter:
    """Collects records for a part."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._problems: _Shared[tuple[str, bytes]] = _Shared()
        self._settings: _Shared[tuple[str, bytes]] = _Shared()
        self._kinds: _Shared[_Kind] = _Shared()
        self._origins: _Shared[bytes] = _Shared()
        self._numbers = {name: array(INT) for name in ("sizes", "changed", "seeds", "updates", "diverged_at")}
        self._scores, self._scores_from = array(FLOAT), array(OFFSET)
        self._weights: list[bytes] = []
        self._provenances: list[bytes] = []

    def add(self, record: Record, stamp: Stamp) -> bool:
        """Take `record`, whose file has `stamp`; False if it holds what no column can, an integer beyond 64 bits."""
        try:
            problem, setting, origin, weights, provenance = map(
                msgspec.msgpack.encode,
                (record.problem, record.setting, brief_provenance(record), record.weights, record.provenance),
            )
        except OverflowError:
            return False
        digests, divergence = record.digests, record.diverged_at
        self.ids.append(record.id)
        self._problems.append((digests.problem, problem))
        self._settings.append((digests.setting, setting))
        self._kinds.append(
            _Kind(
                status=record.status,
                headline=record.headline,
                selection=record.selection,
                curve_unit=record.curve.unit,
                has_divergence=divergence is not None,
                scores=tuple((score.name, score.unit, score.higher_is_better) for score in record.scores),
            )
        )
        self._origins.append(origin)
        for name, number in zip(self._numbers, (*stamp, record.seed, record.updates, divergence or 0), strict=True):
            self._numbers[name].append(number)
        self._scores_from.append(len(self._scores))
        self._scores.extend(math.nan if score.value is None else score.value for score in record.scores)
        self._weights.append(weights)
        self._provenances.append(provenance)
        return True

    def encode(self) -> list[bytes]:
        """The file, in pieces."""
        columns = {
            "ids": bytes.fromhex("".join(self.ids)),
            "problems": _dictionary(self._problems),
            "settings": _dictionary(self._settings),
            "kinds": list(self._kinds.places),
            "origins": list(map(msgspec.Raw, self._origins.places)),
            "problem_at": self._problems.column.tobytes(),
            "setting_at": self._settings.column.tobytes(),
            "kind_at": self._kinds.column.tobytes(),
            "origin_at": self._origins.column.tobytes(),
            **{name: column.tobytes() for name, column in self._numbers.items()},
            "scores": self._scores.tobytes(),
            "scores_from": self._scores_from.tobytes(),
            "weights": _documents(self._weights),
        }
        return [FORMAT, *_encoded(columns), *_encoded(_documents(self._provenances))]


def _dictionary(shared: _Shared[tuple[str, bytes]]) -> list[tuple[str, msgspec.Raw]]:
    return [(digest, msgspec.Raw(value)) for digest, value in shared.places]


def _documents(values: Sequence[bytes]) -> tuple[bytes, bytes]:
    ends, end = array(OFFSET), 0
    for value in values:
        end += len(value)
        ends.append(end)
    return b"".join(values), ends.tobytes()


def _encoded(section: object) -> tuple[bytes, bytes]:
    body = msgspec.msgpack.encode(section)
    return _HEAD.pack(_checksum(len(body), body), len(body)), body


def _section(file: BinaryIO, kind: type[T], path: Path) -> T:
    head = file.read(_HEAD.size)
    if len(head) == _HEAD.size:
        checksum, length = _HEAD.unpack(head)
        # A damaged length may be larger than the memory.
        body = file.read(min(length, path.stat().st_size))
        if len(body) == length and _checksum(length, body) == checksum:
            return msgspec.msgpack.decode(body, type=kind)
    raise DamagedPart(f"{path}: is damaged")


def _checksum(length: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(length.to_bytes(8, "little")))
