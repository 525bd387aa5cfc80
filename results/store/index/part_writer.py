"""Writes a part of a store's index: light records gathered in columns (part.py has the format)."""

from __future__ import annotations

import math
from array import array
from collections.abc import Hashable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from optathlon.results.record import Record
from optathlon.results.store.index.light_records import brief_provenance
from optathlon.results.store.index.part import FLOAT, FORMAT, HEAD, INT, OFFSET, PLACE, Kind, Stamp, checksum_of

H = TypeVar("H", bound=Hashable)


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
        self._kinds: _Shared[Kind] = _Shared()
        self._origins: _Shared[bytes] = _Shared()
        self._numbers = {name: array(INT) for name in ("seeds", "updates", "diverged_at")}
        self._sizes, self._changed = array(INT), array(INT)
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
            Kind(
                status=record.status,
                headline=record.headline,
                selection=record.selection,
                curve_unit=record.curve.unit,
                has_divergence=divergence is not None,
                scores=tuple((score.name, score.unit, score.higher_is_better) for score in record.scores),
            )
        )
        self._origins.append(origin)
        for name, number in zip(self._numbers, (record.seed, record.updates, divergence or 0), strict=True):
            self._numbers[name].append(number)
        self._sizes.append(stamp[0])
        self._changed.append(stamp[1])
        self._scores_from.append(len(self._scores))
        self._scores.extend(math.nan if score.value is None else score.value for score in record.scores)
        self._weights.append(weights)
        self._provenances.append(provenance)
        return True

    def encode(self) -> list[bytes]:
        """The file, in pieces."""
        settings = [written for _, written in self._settings.places]
        columns = self._problems.column, self._settings.column, self._numbers["seeds"]
        places = [(problem, settings[setting], seed) for problem, setting, seed in zip(*columns, strict=True)]
        order = sorted(range(len(self.ids)), key=places.__getitem__)

        def ordered(column: array[Any]) -> bytes:
            return array(column.typecode, map(column.__getitem__, order)).tobytes()

        columns = {
            "files": self._files(order),
            "ids": bytes.fromhex("".join([self.ids[added] for added in order])),
            "problems": _dictionary(self._problems),
            "settings": _dictionary(self._settings),
            "kinds": list(self._kinds.places),
            "origins": list(map(msgspec.Raw, self._origins.places)),
            "problem_at": ordered(self._problems.column),
            "setting_at": ordered(self._settings.column),
            "kind_at": ordered(self._kinds.column),
            "origin_at": ordered(self._origins.column),
            **{name: ordered(column) for name, column in self._numbers.items()},
            # These stay where they are, each record has the place of its first.
            "scores": self._scores.tobytes(),
            "scores_from": ordered(self._scores_from),
            "weights": _documents([self._weights[added] for added in order]),
        }
        return [FORMAT, *_encoded(columns), *_encoded(_documents([self._provenances[added] for added in order]))]

    def _files(self, order: Sequence[int]) -> dict[str, bytes]:
        """The columns of files. order: for each row the number of the record that was added to be it."""
        rows = sorted(range(len(order)), key=lambda row: self.ids[order[row]])
        sizes, changed = ([column[order[row]] for row in rows] for column in (self._sizes, self._changed))
        return {
            "ids": bytes.fromhex("".join(sorted(self.ids))),
            "rows": array(PLACE, rows).tobytes(),
            "sizes": array(INT, sizes).tobytes(),
            "changed": array(INT, changed).tobytes(),
        }


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
    return HEAD.pack(checksum_of(len(body), body), len(body)), body
