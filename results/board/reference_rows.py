"""The rows of reference models: trained by no optimizer, shown below the ranked ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from optathlon.results.references import References, _value


class ReferenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A reference model on a board: its score in each of the board's columns, None where it has none."""

    name: str
    values: list[float | None]


def reference_rows(
    references: Mapping[str, References], columns: Sequence[tuple[Sequence[str], str]]
) -> list[ReferenceRow]:
    """The models that have a score in one of `columns`, each of which is its problems and its metric.

    Over several problems a score is the mean, if there is one on each.
    """
    names = dict.fromkeys(name for found in references.values() for name in found.models)
    rows = [ReferenceRow(name=name, values=[_value(references, name, *column) for column in columns]) for name in names]
    return [row for row in rows if any(value is not None for value in row.values)]
