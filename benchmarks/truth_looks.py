"""Sweeps with looks on boards of known truth: python benchmarks/truth.py --looks 3 5 8 12

Each board is looked at as a sweep does it: with few seeds first, and with more where nothing is decided. false †: the
share of boards of equal rows with at least one mark at any look; seeds: the mean number that a row is run with, by how
many deviations every second row is ahead; found: the share of those that end with a †; covers: the share of 95 %
intervals that hold the true difference, whenever their comparison stopped. Peeking: false † where the same looks are
taken without a split of α.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from optathlon.results.statistics.holm import ALPHA, holm_array
from optathlon.results.statistics.moderated.board_tests import BoardTests
from optathlon.results.statistics.moderated.looks import SequentialTests

Noise = Callable[[np.random.Generator, tuple[int, int, int, int]], np.ndarray]
CHUNK = 100
HEAD = "| scenario | board | looks | false † | peeking | ahead | seeds | found | covers |"


def looked(scores: np.ndarray, looks: Sequence[int]) -> SequentialTests:
    """The tests of boards (boards, rows, columns, seeds) after their last look."""
    tests = SequentialTests(scores.shape[:-1], looks)
    for _ in looks:
        tests.look(scores)
    return tests


def false_marks(scores: np.ndarray, looks: Sequence[int]) -> tuple[float, float]:
    """The shares of boards with a mark: by `looked`, and by looking each time at the whole of α."""
    split = (looked(scores, looks).decided_at > 0).any((-2, -1))
    peeking = np.zeros(len(scores), dtype=bool)
    for seeds in looks:
        p = holm_array(BoardTests(scores[..., :seeds]).against_baseline().p)
        peeking |= (np.nan_to_num(p, nan=1.0) < ALPHA).any((-2, -1))
    return float(split.mean()), float(peeking.mean())


def seeds_found_covered(scores: np.ndarray, ahead: float, looks: Sequence[int]) -> tuple[float, float, float]:
    """Of every second row, so far ahead, the mean number of seeds and the shares that are found and covered."""
    tests = looked(scores, looks)
    low, high = (end[:, 1::2] for end in tests.intervals())
    covered = (low <= ahead) & (ahead <= high)
    return float(tests.asked[:, 1::2].mean()), float((tests.decided_at[:, 1::2] > 0).mean()), float(covered.mean())


def lines(
    scenarios: Sequence[tuple[str, Noise]], shapes: Sequence[tuple[int, int]], looks: Sequence[int], boards: int
) -> Iterator[str]:
    """A Markdown table, line by line as it is computed; the same arguments give the same numbers."""
    yield HEAD
    yield "|" + "---|" * (HEAD.count("|") - 1)
    for name, noise in scenarios:
        for rows, columns in shapes:
            chance = np.random.default_rng([rows, columns, *looks])
            sizes = [CHUNK] * (boards // CHUNK) + [boards % CHUNK] * (boards % CHUNK > 0)
            shape = (rows, columns, looks[-1])
            false = [false_marks(noise(chance, (size, *shape)), looks) for size in sizes]
            split, peeking = np.average(false, axis=0, weights=sizes)
            for ahead in range(5):
                found = [
                    seeds_found_covered(_ahead(noise(chance, (size, *shape)), ahead), ahead, looks) for size in sizes
                ]
                seeds, share, covered = np.average(found, axis=0, weights=sizes)
                first = (f"{split:.3f}{_over(split, boards)}", f"{peeking:.3f}") if ahead == 0 else ("", "")
                looked_at = ", ".join(map(str, looks))
                words = (
                    name, f"{rows} × {columns}", looked_at, *first,
                    f"{ahead} σ", f"{seeds:.1f}", f"{share:.2f}", f"{covered:.3f}",
                )  # fmt: skip
                yield f"| {' | '.join(words)} |"


def _ahead(noise: np.ndarray, deviations: float) -> np.ndarray:
    noise[:, 1::2] += deviations
    return noise


def _over(share: float, boards: int) -> str:
    return " **over**" if share > ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / boards) else ""
