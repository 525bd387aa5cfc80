"""Settings and problems as flat lists of named values, to tell one from another in a few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def differing(candidates: Iterable[Mapping[str, Any]]) -> list[str]:
    """Keys whose value is not the same in all `candidates`, in order of appearance."""
    candidates = list(candidates)
    keys = dict.fromkeys(key for candidate in candidates for key in candidate)
    return [k for k in keys if any(k not in c or c[k] != candidates[0].get(k) for c in candidates)]


def in_words(values: Mapping[str, Any], keys: Iterable[str]) -> str:
    """ "lr=0.1 momentum=0.9"."""
    return " ".join(f"{key}={short(values[key])}" for key in keys if key in values)


def short(value: Any) -> str:
    """`value` in as few digits as tell it from every other."""
    if isinstance(value, float) and float(text := f"{value:g}") == value:
        return text
    return str(value)


def edges(chosen: Mapping[str, Any], ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """Hyperparameters of which `chosen` has one of the ends of what was searched, as `searched_ranges` tells it."""
    return [key for key, ends in ranges.items() if chosen.get(key) in ends]


def searched_ranges(candidates: Iterable[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """The smallest and the largest value of each hyperparameter that took several numbers in `candidates`.

    Where several were drawn at random, the outermost values are no edge of what was searched, and are not told.
    """
    candidates = list(candidates)
    tried: dict[str, list[float]] = {}
    for candidate in candidates:
        for key, value in candidate.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                tried.setdefault(key, []).append(value)
    drawn = _drawn(tried, len(candidates))
    return {k: (min(v), max(v)) for k, v in tried.items() if len(set(v)) > 1 and k not in drawn}


def _drawn(tried: Mapping[str, list[float]], count: int) -> list[str]:
    """The keys of which each of `count` settings has a value of its own, if there are several in no common order.

    On a grid values come again, and those that move together (`zip`) usually rise or fall together.
    """
    own = [key for key, values in tried.items() if len(values) == len(set(values)) == count]
    orders = [sorted(range(count), key=tried[key].__getitem__) for key in own]
    return own if len({min(tuple(order), tuple(order[::-1])) for order in orders}) > 1 else []
