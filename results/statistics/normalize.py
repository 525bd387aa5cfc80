"""Scores of different tasks on one scale."""

from __future__ import annotations

from collections.abc import Sequence


def normalized(values: Sequence[float], zero: float, unit: float) -> list[float]:
    """`values` on the line where the score `zero` is 0 and the score `unit` is 1; the direction is theirs.

    Both must be fixed reference scores of the task, or every score moves when an optimizer is added. ValueError if they
    are equal.
    """
    if zero == unit:
        raise ValueError(f"zero and unit are the same score, {zero!r}")
    return [(value - zero) / (unit - zero) for value in values]
