"""Scores of different tasks on one scale."""

from __future__ import annotations

from collections.abc import Sequence


def normalized(values: Sequence[float], zero: float, one: float) -> list[float]:
    """`values` on the line where the score `zero` is 0 and `one` is 1; the direction is theirs.

    Both must be fixed reference scores of the task, or every score moves when an optimizer is added. ValueError if they
    are equal.
    """
    if zero == one:
        raise ValueError(f"zero and one are the same score, {zero!r}")
    return [(value - zero) / (one - zero) for value in values]
