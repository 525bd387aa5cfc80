"""Values of records: what may be averaged with what, and how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from optathlon.results.errors import StoreError
from optathlon.results.record import Record

LARGEST = 1e100
"""What counts as finite. Larger scores overflow when squared, so they count as diverged."""


class Unusable(StoreError):  # noqa: N818
    """A record cannot stand where it was planned to. why: what is wrong with it, without its id, as other records may
    share the fault."""

    def __init__(self, record: Record, why: str) -> None:
        super().__init__(f"record {record.id}: {why}; `optathlon forget {record.id}` moves it away")
        self.why = why


def value(record: Record, name: str, higher_is_better: bool, unit: str | None = None) -> float | None:
    """The score `name` of `record`; None if the run diverged or the value is not `usable`.

    Unusable if a finished record has no such score, or measured it in another direction or unit.
    """
    score = next((s for s in record.scores if s.name == name), None)
    if score is None:
        if record.status == "diverged":
            return None
        known = ", ".join(s.name for s in record.scores) or "none"
        raise Unusable(record, f"no score {name!r} (but {known})")
    if score.higher_is_better != higher_is_better:
        ours, here = direction(score.higher_is_better), direction(higher_is_better)
        raise Unusable(record, f"{ours} values of {name!r} are better, but here {here} ones")
    if unit is not None and score.unit != unit:
        raise Unusable(record, f"{name!r} in {score.unit!r}, but here in {unit!r}")
    return score.value if record.status == "finished" and usable(score.value) else None


def usable(value: float | None) -> bool:
    """Whether `value` is a number of at most 1e100: a model whose scores are larger has diverged, whatever it says."""
    return value is not None and abs(value) <= LARGEST


def number(value: object) -> float | None:
    """`value` as a float, if it is a number that is `usable`; None of anything else that a file may hold."""
    if isinstance(value, int | float) and not isinstance(value, bool) and usable(value):
        return float(value)
    return None


def direction(higher_is_better: bool) -> str:
    return "higher" if higher_is_better else "lower"


def by_id(records: Iterable[Record] | Mapping[str, Record]) -> Mapping[str, Record]:
    """`records` by id, a mapping as it is; StoreError if two different ones claim one id."""
    if isinstance(records, Mapping):
        return cast(Mapping[str, Record], records)
    records_by_id: dict[str, Record] = {}
    for record in records:
        if records_by_id.setdefault(record.id, record) != record:
            raise StoreError(f"record {record.id}: there are two different ones")
    return records_by_id
