"""Boards of known truth: how often the marks err, and what they find: python benchmarks/truth.py --boards 1000

Each line is one scenario, simulated as stacks of boards whose rows are all equal (false †: the share of boards with
at least one; ≈: the share of columns whose truly best row is left unmarked; covers: the share of 95 % intervals that
hold the truth), and once more with every second row ahead by some deviations (found: the share of those that get a †).
Beside them stand the same of Welch's test with Holm's correction. The Monte-Carlo error of a share p of N boards is
√(p (1 - p) / N): 0.007 at 0.05 and 1,000 boards.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import truth_looks
from optathlon.results.statistics.holm import ALPHA, holm_array
from optathlon.results.statistics.moderated.board_tests import BoardTests

Shape = tuple[int, int, int, int]
"""Boards, rows, columns, seeds."""
CHUNK = 250


class Scenario(NamedTuple):
    """A way in which seeds scatter, and what is asked of boards under it."""

    name: str
    noise: Callable[[np.random.Generator, Shape], np.ndarray]
    """Draws boards of equal rows whose scores have the mean 0 and, about, the deviation 1."""
    ahead: float = 4.0
    """By how many deviations the better rows are ahead where power is asked for."""
    bound: float = 0.06
    """The most that the share of boards with a false † may be (issue 17: 0.06 at any n)."""


def normal(chance: np.random.Generator, shape: Shape) -> np.ndarray:
    return chance.normal(size=shape)


def heavy_tails(chance: np.random.Generator, shape: Shape) -> np.ndarray:
    return chance.standard_t(3, size=shape) / math.sqrt(3)


def lognormal(chance: np.random.Generator, shape: Shape) -> np.ndarray:
    spread = 0.7
    drawn = np.exp(spread * chance.normal(size=shape)) - math.exp(spread**2 / 2)
    return drawn / math.sqrt((math.exp(spread**2) - 1) * math.exp(spread**2))


def accuracy(chance: np.random.Generator, shape: Shape, samples: int = 120, rate: float = 0.8) -> np.ndarray:
    """Accuracies of so many test samples, in deviations: coarse scores with many equal ones."""
    hits = chance.binomial(samples, rate, size=shape)
    return (hits - samples * rate) / math.sqrt(samples * rate * (1 - rate))


def unlike_tasks(chance: np.random.Generator, shape: Shape) -> np.ndarray:
    """Columns that spread a hundredfold apart; a deviation is still each column's own."""
    return chance.normal(size=shape)


def unlike_cells(chance: np.random.Generator, shape: Shape) -> np.ndarray:
    """Each cell's deviation is drawn between 0.1 and 10, alike on the logarithm: no row and no column predicts it."""
    return chance.normal(size=shape) * 10 ** chance.uniform(-1, 1, size=(*shape[:3], 1))


def baseline_times(factor: float) -> Callable[[np.random.Generator, Shape], np.ndarray]:
    def noise(chance: np.random.Generator, shape: Shape) -> np.ndarray:
        drawn = chance.normal(size=shape)
        drawn[:, 0] *= factor
        return drawn

    return noise


def collapsing(chance: np.random.Generator, shape: Shape) -> np.ndarray:
    """A fifth of all seeds is far below the others."""
    return chance.normal(size=shape) - 30 * (chance.random(shape) < 0.2)


def correlated(rho: float) -> Callable[[np.random.Generator, Shape], np.ndarray]:
    def noise(chance: np.random.Generator, shape: Shape) -> np.ndarray:
        common = chance.normal(size=(shape[0], 1, *shape[2:]))
        return math.sqrt(rho) * common + math.sqrt(1 - rho) * chance.normal(size=shape)

    return noise


def tuned(luck: float) -> Callable[[np.random.Generator, Shape], np.ndarray]:
    """A sweep tuned once: each cell's setting is off by `luck` deviations of a seed, which no report seed shows."""

    def noise(chance: np.random.Generator, shape: Shape) -> np.ndarray:
        return chance.normal(size=shape) + luck * chance.normal(size=(*shape[:3], 1))

    return noise


def tuned_per_seed(luck: float) -> Callable[[np.random.Generator, Shape], np.ndarray]:
    """The same where each report seed has tuning seeds and a winner of its own: the luck is drawn with every seed."""

    def noise(chance: np.random.Generator, shape: Shape) -> np.ndarray:
        return (chance.normal(size=shape) + luck * chance.normal(size=shape)) / math.sqrt(1 + luck**2)

    return noise


SCENARIOS = (
    Scenario("normal", normal),
    Scenario("t(3)", heavy_tails),
    Scenario("lognormal", lognormal),
    Scenario("accuracy of 120 samples", accuracy),
    Scenario("tasks of unlike spread", unlike_tasks),
    Scenario("cells' spreads 0.1 to 10", unlike_cells),
    Scenario("baseline 10 x quieter", baseline_times(0.1)),
    Scenario("baseline 10 x noisier", baseline_times(10.0)),
    Scenario("a fifth of seeds collapse", collapsing),
    Scenario("seeds correlated 0.8", correlated(0.8), 2.0),
    Scenario("seeds correlated 0.9", correlated(0.9), 2.0),
    # Not bounded: that these settings differ is true; that their tuning did is not said by the mark.
    Scenario("tuned once, luck 0.5", tuned(0.5), bound=1.0),
    Scenario("tuned once, luck 1", tuned(1.0), bound=1.0),
    Scenario("tuned per seed, luck 0.5", tuned_per_seed(0.5)),
    Scenario("tuned per seed, luck 1", tuned_per_seed(1.0)),
)


class Line(NamedTuple):
    """Shares of boards, columns, intervals and comparisons (see above)."""

    false: float
    false_welch: float
    unmarked_best: float
    covers: float
    found: float
    found_welch: float
    collapsing: float


def simulate(scenario: Scenario, rows: int, columns: int, seeds: int, boards: int, seed: int = 0) -> Line:
    """`boards` boards of equal rows, and as many with every second row ahead; the same seed gives the same numbers."""
    chance = np.random.default_rng([seed, rows, columns, seeds])
    counts: list[tuple[float, ...]] = []
    sizes = [CHUNK] * (boards // CHUNK) + [boards % CHUNK] * (boards % CHUNK > 0)
    for size in sizes:
        equal = _columns(scenario, scenario.noise(chance, (size, rows, columns, seeds)))
        ahead = _columns(scenario, scenario.noise(chance, (size, rows, columns, seeds)), scenario.ahead)
        counts.append(_shares(equal, ahead))
    weighted = np.average(np.array(counts), axis=0, weights=sizes)
    return Line(*map(float, weighted))


def _columns(scenario: Scenario, noise: np.ndarray, ahead: float = 0.0) -> np.ndarray:
    """Scores: the noise with every second row ahead, in each column's own unit."""
    scores = noise.copy()
    scores[:, 1::2] += ahead
    units = 10.0 ** np.linspace(-1, 1, scores.shape[2]) if scenario.noise is unlike_tasks else np.ones(scores.shape[2])
    return scores * units[:, None] + 50


def _shares(equal: np.ndarray, ahead: np.ndarray) -> tuple[float, ...]:
    null, power = BoardTests(equal), BoardTests(ahead)
    shares = null.against_baseline()
    tested = np.isfinite(shares.p)
    # The rows are equal: an interval holds the truth, 0, where its p is at least 0.05.
    misses = null.model.compare(np.zeros((len(equal), 1, equal.shape[2]), dtype=int)).p()[tested] < ALPHA
    best = null.tied_with_best()[:, 0]
    better = power.against_baseline()
    return (
        _any(shares.p_holm),
        _any(holm_array(shares.p_welch)),
        1 - float(best.mean()),
        1 - float(misses.mean()) if misses.size else math.nan,
        float((better.p_holm[:, 1::2] < ALPHA).mean()),
        float((holm_array(better.p_welch)[:, 1::2] < ALPHA).mean()),
        float(null.collapses.found.mean()),
    )


def _any(adjusted: np.ndarray) -> float:
    return float((np.nan_to_num(adjusted, nan=1.0) < ALPHA).any((-2, -1)).mean())


HEAD = (
    "| scenario | board | n | false † | (Welch) | best without ≈ | covers | ahead | found | (Welch) | collapse found |"
)


def lines(boards: int, shapes: list[tuple[int, int]], counts: list[int], names: list[str]) -> Iterator[str]:
    """A Markdown table, line by line as it is computed."""
    yield HEAD
    yield "|" + "---|" * (HEAD.count("|") - 1)
    for scenario in SCENARIOS:
        for rows, columns in shapes if not names or scenario.name in names else ():
            for seeds in counts:
                line = simulate(scenario, rows, columns, seeds, boards)
                over = " **over**" if line.false > scenario.bound + 3 * math.sqrt(0.05 * 0.95 / boards) else ""
                words = (
                    scenario.name, f"{rows} × {columns}", seeds, f"{line.false:.3f}{over}", f"{line.false_welch:.3f}",
                    f"{line.unmarked_best:.3f}", f"{line.covers:.3f}", f"{scenario.ahead:g} σ", f"{line.found:.2f}",
                    f"{line.found_welch:.2f}", f"{line.collapsing:.2f}",
                )  # fmt: skip
                yield f"| {' | '.join(map(str, words))} |"


def shape(word: str) -> tuple[int, int]:
    rows, _, columns = word.partition("x")
    return int(rows), int(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=1000, help="of each line (default: 1000)")
    parser.add_argument("--shapes", nargs="+", type=shape, default=[(4, 4), (8, 8), (12, 14)], metavar="ROWSxTASKS")
    parser.add_argument("--seeds", nargs="+", type=int, default=[3, 5, 10])
    parser.add_argument("--scenarios", nargs="+", default=[], choices=[s.name for s in SCENARIOS], metavar="NAME")
    parser.add_argument("--looks", nargs="+", type=int, help="instead: sweeps with looks at so many seeds, 3 5 8 12")
    args = parser.parse_args()
    if args.looks:
        chosen = [(s.name, s.noise) for s in SCENARIOS if not args.scenarios or s.name in args.scenarios]
        for line in truth_looks.lines(chosen, args.shapes, args.looks, args.boards):
            print(line, flush=True)
        return
    for line in lines(args.boards, args.shapes, args.seeds, args.scenarios):
        print(line, flush=True)


if __name__ == "__main__":
    main()
