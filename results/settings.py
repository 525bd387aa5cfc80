"""Settings and problems as flat lists of named values, to tell one from another in a few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`values` with nested keys joined by dots: {"schedule.kind": "cosine"}."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def hyperparameters(setting: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters of a setting as recorded, flat."""
    return flat(setting.get("hyperparameters", {}))


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


def edges(chosen: Mapping[str, Any], candidates: Iterable[Mapping[str, Any]]) -> list[str]:
    """Hyperparameters that took several numbers in `candidates` and of which `chosen` has the smallest or largest."""
    tried: dict[str, set[float]] = {}
    for candidate in candidates:
        for key, value in candidate.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                tried.setdefault(key, set()).add(value)
    return [k for k, v in tried.items() if len(v) > 1 and chosen.get(k) in (min(v), max(v))]
