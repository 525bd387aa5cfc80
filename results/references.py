"""What models that no optimizer trains score on a problem, and any trained one must beat. In no rank or test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from optathlon.results.record import SCHEMA
from optathlon.results.statistics.summary import mean


class References(msgspec.Struct, frozen=True, kw_only=True):
    """Of one problem, by its digest: what each reference model scores, {"bigram": {"test/perplexity": 245.3}}.

    error: why there are none, if they could not be computed.
    """

    problem: str
    task: str
    models: dict[str, dict[str, float]] = {}
    error: str = ""
    schema: int = SCHEMA


def value_in(references: Mapping[str, References], name: str, problems: Sequence[str], metric: str) -> float | None:
    by_problem = [references[p].models.get(name, {}).get(metric) if p in references else None for p in problems]
    scores = [value for value in by_problem if value is not None]
    return mean(scores) if len(scores) == len(by_problem) else None
