"""Light records: without the points of curves, and with what is the same in many of them held once."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from optathlon.results.record import Curve, Identity, Record, Score


class _Code(msgspec.Struct, frozen=True, gc=False):
    tree: str | None = None


class _Origin(msgspec.Struct, frozen=True, gc=False):
    """Of a provenance, what boards and states look at."""

    attempt: int = 0
    code: _Code = _Code()


def brief_provenance(record: Record) -> dict[str, Any]:
    """Of the provenance of `record` the attempt and the tree of the code; empty where they are of other types."""
    try:
        return msgspec.to_builtins(msgspec.convert(record.provenance, _Origin))
    except msgspec.ValidationError:
        return {}


class Sharing:
    """Holds equal problems, settings, digests and the like as one object each, so none of them may be changed."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, Any]] = {}
        self._digests: dict[tuple[str, str], Identity] = {}
        self._curves: dict[str, Curve] = {}
        self._origins: dict[tuple[Any, ...], dict[str, Any]] = {}

    def value(self, digest: str, value: dict[str, Any]) -> dict[str, Any]:
        """`value`, a problem or a setting; of equal ones with the same digest always the first."""
        first = self._values.setdefault(digest, value)
        return first if first == value else value

    def identity(self, problem: str, setting: str) -> Identity:
        """The digests of a problem and a setting."""
        key = problem, setting
        if key not in self._digests:
            self._digests[key] = Identity(problem=problem, setting=setting)
        return self._digests[key]

    def curve(self, unit: str) -> Curve:
        """A curve without points."""
        if unit not in self._curves:
            self._curves[unit] = Curve(unit=unit, points={})
        return self._curves[unit]

    def origin(self, brief: dict[str, Any]) -> dict[str, Any]:
        """`brief`, as `brief_provenance` gives it; of equal ones always the first."""
        return self._origins.setdefault((brief.get("attempt"), brief.get("code", {}).get("tree")), brief)

    def light(self, record: Record, brief: bool) -> Record:
        """`record` without curve points; brief: with its brief provenance."""
        return Record(
            id=record.id,
            digests=self.identity(record.digests.problem, record.digests.setting),
            problem=self.value(record.digests.problem, record.problem),
            setting=self.value(record.digests.setting, record.setting),
            seed=record.seed,
            status=record.status,
            scores=[_interned(score) for score in record.scores],
            headline=sys.intern(record.headline),
            selection=record.selection and sys.intern(record.selection),
            updates=record.updates,
            diverged_at=record.diverged_at,
            weights=record.weights,
            curve=self.curve(record.curve.unit),
            provenance=self.origin(brief_provenance(record)) if brief else record.provenance,
        )


def _interned(score: Score) -> Score:
    return Score(
        name=sys.intern(score.name),
        unit=sys.intern(score.unit),
        higher_is_better=score.higher_is_better,
        value=score.value,
    )
