"""What models that no optimizer trains score on a problem, and any trained one must beat. In no rank or test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from optathlon.results.record import SCHEMA
from optathlon.results.scores import mean


class References(msgspec.Struct, frozen=True, kw_only=True):
    """Of one problem, by its digest: what each reference model scores, {"bigram": {"test/perplexity": 245.3}}.

    error: why there are none, if they could not be computed.
    """

    problem: str
    task: str
    models: dict[str, dict[str, float]] = {}
    error: str = ""
    schema: int = SCHEMA


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


def _value(references: Mapping[str, References], name: str, problems: Sequence[str], metric: str) -> float | None:
    found = [references[p].models.get(name, {}).get(metric) if p in references else None for p in problems]
    scores = [value for value in found if value is not None]
    return mean(scores) if len(scores) == len(found) else None
