"""Scrambled Halton points that no library's version can change: random settings are part of a run's identity."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterator

DIGITS = 48
"""Of a coordinate in base 2; more do not change a float."""


def points(count: int, dimensions: int, seed: int) -> list[list[float]]:
    """Returns the first `count` points in [0, 1)^dimensions, each dimension scrambled by permutations of its digits.

    Source: Halton 1960; random digit permutations as in Owen, A randomized Halton algorithm in R, 2017.
    """
    bases = list(itertools.islice(_primes(), dimensions))
    return [[_coordinate(index, base, seed) for base in bases] for index in range(count)]


def _coordinate(index: int, base: int, seed: int) -> float:
    value, place = 0.0, 1.0 / base
    for position in range(DIGITS):
        index, digit = divmod(index, base)
        value += _permutation(seed, base, position)[digit] * place
        place /= base
        if place < 2.0**-DIGITS:
            break
    return value


@functools.cache
def _permutation(seed: int, base: int, position: int) -> tuple[int, ...]:
    def key(digit: int) -> bytes:
        return hashlib.sha256(f"halton/{seed}/{base}/{position}/{digit}".encode()).digest()

    return tuple(sorted(range(base), key=key))


def _primes() -> Iterator[int]:
    smaller: list[int] = []
    for number in itertools.count(2):
        if all(number % prime for prime in smaller):
            smaller.append(number)
            yield number
