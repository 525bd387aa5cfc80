"""The rows of reference models: trained by no optimizer, shown below the ranked ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from optathlon.results.references import References, value_in


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
    models = dict.fromkeys(model for of_task in references.values() for model in of_task.models)
    rows = [ReferenceRow(name=m, values=[value_in(references, m, *column) for column in columns]) for m in models]
    return [row for row in rows if any(value is not None for value in row.values)]
