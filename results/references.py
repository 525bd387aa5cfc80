"""What models that no optimizer trains score on a problem, and any trained one must beat. In no rank or test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from optathlon.results.record import SCHEMA
from optathlon.results.statistics.summary import mean


class References(msgspec.Struct, frozen=True, kw_only=True):
    """What models that no optimizer trains score on one problem."""

    problem: str
    """Its digest."""
    task: str
    models: dict[str, dict[str, float]] = {}
    """By model its scores, {"bigram": {"test/perplexity": 245.3}}."""
    error: str = ""
    """Why there are none, if they could not be computed."""
    schema: int = SCHEMA


def value_in(references: Mapping[str, References], name: str, problems: Sequence[str], metric: str) -> float | None:
    by_problem = [references[p].models.get(name, {}).get(metric) if p in references else None for p in problems]
    scores = [value for value in by_problem if value is not None]
    return mean(scores) if len(scores) == len(by_problem) else None
