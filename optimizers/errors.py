"""What this room raises when a user's input is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OptimizerError(ValueError):
    """An optimizer, a hyperparameter or a grid is not what it must be; the message names field, value and remedy."""


MOST_NAMED = 40
"""More names than these are no help in one line."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns " (did you mean X?)" with the nearest known word or those that contain `word`; else all known words."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5) or [name for name in known if word and word in name]
    if near:
        return f" (did you mean {' or '.join(near[:3])}?)"
    return f" (known: {', '.join(known)})" if len(known) <= MOST_NAMED else " (see `optathlon list`)"
