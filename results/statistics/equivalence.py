"""Whether an interval shows two means to be equal for all practical purposes, to differ, or neither.

One interval decides, so that there is one error: a verdict is false only if the interval misses the true difference,
which a 95 % interval does once in twenty whatever the truth is. "Not significant" alone is no sign of equality: with
three runs a difference of five deviations may not be significant.
"""

from __future__ import annotations

from typing import Literal

from optathlon.results.statistics.difference import Difference

Finding = Literal["equivalent", "different", "undecided"]


def equivalence(difference: Difference, margin: float) -> Finding:
    """What the interval of `difference` shows: "equivalent" if it lies within ±`margin`, else "different" without 0.

    "undecided" where it reaches beyond the margin and holds 0, or where there is no interval. Its ends count as inside.
    An interval within the margin may leave out 0: the difference is then real, and too small to matter.
    (Two one-sided tests, Schuirmann 1987, here at half the usual level.)
    """
    if difference.low is None or difference.high is None:
        return "undecided"
    if -margin <= difference.low and difference.high <= margin:
        return "equivalent"
    return "undecided" if difference.low <= 0 <= difference.high else "different"
