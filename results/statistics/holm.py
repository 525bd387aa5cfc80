"""Holm's correction: many tests in one table, and still one chance in twenty of any false star."""

from __future__ import annotations

from collections.abc import Sequence


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Adjusted p in the order given (Holm 1979); None, a test that could not be made, stays and does not count."""
    tested = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    highest = 0.0
    for position, (p, i) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - position) * p))
        adjusted[i] = highest
    return adjusted
