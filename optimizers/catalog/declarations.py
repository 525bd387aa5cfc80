"""Short forms of what the catalog declares most: hyperparameters and implementations."""

from __future__ import annotations

from optathlon.optimizers.spec import Hyperparameter

FOREACH = ("loop", "foreach")
FUSED = ("loop", "foreach", "fused")
"""Ways to step: as OptimizerSpec.implementations."""


def number(
    default: float | None,
    low: float | None = 0.0,
    *,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Hyperparameter:
    """A number of at least 0, if nothing else is said."""
    low = None if above is not None else low
    return Hyperparameter("float", default, low=low, high=high, above=above, below=below)


def fraction(default: float) -> Hyperparameter:
    """A number of at least 0 and below 1, such as a momentum."""
    return number(default, low=0.0, below=1.0)


def fractions(*default: float) -> Hyperparameter:
    """Several numbers, each of at least 0 and below 1, such as Adam's betas."""
    return Hyperparameter("floats", list(default), low=0.0, below=1.0)


def count(default: int, low: int = 1) -> Hyperparameter:
    """An integer of at least `low`."""
    return Hyperparameter("int", default, low=low)


def switch(default: bool) -> Hyperparameter:
    """True or false."""
    return Hyperparameter("bool", default)
