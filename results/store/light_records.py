"""Light records: without the points of curves, and with what is the same in many of them held once."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

import msgspec

from optathlon.results.record import SCHEMA, Curve, Identity, Record, Score
from optathlon.results.store.schema_versions import decoder

T = TypeVar("T", bound=Record)


class _Line(Record, frozen=True, kw_only=True):
    """A record whose problem and setting are left as text."""

    problem: msgspec.Raw  # pyright: ignore[reportIncompatibleVariableOverride]
    setting: msgspec.Raw  # pyright: ignore[reportIncompatibleVariableOverride]


class _Code(msgspec.Struct, frozen=True, gc=False):
    tree: str | None = None


class _Origin(msgspec.Struct, frozen=True, gc=False):
    """Of a provenance, what boards and states look at."""

    attempt: int = 0
    code: _Code = _Code()


class _BriefLine(_Line, frozen=True, kw_only=True):
    provenance: _Origin = _Origin()  # pyright: ignore[reportIncompatibleVariableOverride]


class Sharing:
    """Makes light records. Equal problems, settings and digests are one object, so none of them may be changed."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, Any]] = {}
        self._raw: dict[str, msgspec.Raw] = {}
        self._digests: dict[Identity, Identity] = {}
        self._curves: dict[str, Curve] = {}
        self._origins: dict[_Origin, dict[str, Any]] = {}

    def light(self, record: Record, brief: bool) -> Record:
        """`record` without curve points; brief: of its provenance only the attempt and the tree of the code."""
        problem = self._values.setdefault(record.digests.problem, record.problem)
        setting = self._values.setdefault(record.digests.setting, record.setting)
        if problem != record.problem or setting != record.setting:
            problem, setting = record.problem, record.setting
        provenance = record.provenance
        if brief:
            try:
                provenance = self._origin(msgspec.convert(provenance, _Origin))
            except msgspec.ValidationError:
                provenance = {}
        return self._held(record, problem, setting, provenance)

    def of_line(self, run_id: str, line: bytes, brief: bool) -> Record | None:
        """The light record that `line` of the index holds; None if it is not as this version writes it."""
        try:
            found = decoder(_BriefLine if brief else _Line).decode(line)
            problem = self._same(found.digests.problem, found.problem)
            setting = self._same(found.digests.setting, found.setting)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if problem is None or setting is None or found.schema != SCHEMA or found.id != run_id:
            return None
        provenance = found.provenance
        origin = self._origin(provenance) if isinstance(provenance, _Origin) else provenance
        return self._held(found, problem, setting, origin)

    def _held(
        self, found: Record, problem: dict[str, Any], setting: dict[str, Any], provenance: dict[str, Any]
    ) -> Record:
        """`found` with these parts, without curve points, and with everything that can be shared."""
        return Record(
            id=found.id,
            digests=self._digests.setdefault(found.digests, found.digests),
            problem=problem,
            setting=setting,
            seed=found.seed,
            status=found.status,
            scores=[_interned(score) for score in found.scores],
            headline=sys.intern(found.headline),
            selection=found.selection and sys.intern(found.selection),
            updates=found.updates,
            diverged_at=found.diverged_at,
            weights=found.weights,
            curve=self._curves.setdefault(found.curve.unit, Curve(unit=found.curve.unit, points={})),
            provenance=provenance,
        )

    def _same(self, digest: str, raw: msgspec.Raw) -> dict[str, Any] | None:
        """What `raw` holds, one object for all lines with this `digest`; None where another line has something else."""
        if digest not in self._raw:
            value = msgspec.json.decode(raw, type=dict[str, Any])
            if self._values.setdefault(digest, value) == value:
                self._raw[digest] = raw.copy()
        return self._values[digest] if self._raw.get(digest) == raw else None

    def _origin(self, origin: _Origin) -> dict[str, Any]:
        if origin not in self._origins:
            self._origins[origin] = {"attempt": origin.attempt, "code": {"tree": origin.code.tree}}
        return self._origins[origin]


def _interned(score: Score) -> Score:
    return Score(
        name=sys.intern(score.name),
        unit=sys.intern(score.unit),
        higher_is_better=score.higher_is_better,
        value=score.value,
    )
