"""What else a board claims, on data of known truth: python benchmarks/truth_claims.py --boards 500

benchmarks/truth.py simulates the marks; this the rest: who is first by the default target of times, intervals over
tasks, Dunnett's test where the baseline is noisier, the best mean, and the verdicts of the ledger. One line per claim.
"""

from __future__ import annotations

import argparse
import collections
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from optathlon.results.papers.ledger import MARGIN
from optathlon.results.statistics.difference import Difference
from optathlon.results.statistics.dunnett import dunnett, unequal_spreads
from optathlon.results.statistics.equivalence import equivalence
from optathlon.results.statistics.iqm import iqm_interval
from optathlon.results.statistics.moderated.board_tests import BoardTests
from optathlon.results.statistics.printed_summary import largest_deviation, less_printed
from optathlon.results.statistics.shrinkage import shrunken
from optathlon.results.statistics.standardized import mean_standardized
from optathlon.results.statistics.targets import algoperf_score, time_ratios, time_to_target
from optathlon.results.statistics.wilcoxon import wilcoxon

ROWS, TASKS = 8, 8
Line = tuple[str, str, str]
"""What is claimed, on what data, and what came of it."""


def first_by_target(chance: np.random.Generator, boards: int) -> Line:
    """Equal rows of 30 epochs and three seeds; the target is the worst row's median end, as `times` has it."""
    first = 0.0
    for _ in range(boards):
        noise = 0.02 * chance.normal(size=(ROWS, TASKS, 3, 30))
        curves = 1 - np.exp(-np.arange(1, 31) / 8) + noise
        targets = np.median(curves[..., -1], -1).min(0)
        reached = {
            str(row): [
                float(np.median([_time(curve, targets[task]) for curve in curves[row, task]])) for task in range(TASKS)
            ]
            for row in range(ROWS)
        }
        scores = {row: algoperf_score(ratios) for row, ratios in time_ratios(reached).items()}
        best = [row for row, score in scores.items() if score == max(scores.values())]
        first += ("0" in best) / len(best)
    return "the baseline is first by the default target", f"{ROWS} copies of it", f"{first / boards:.3f} (fair: 0.125)"


def _time(curve: np.ndarray, target: float) -> float:
    return time_to_target([(float(t), float(v)) for t, v in enumerate(curve, start=1)], target, True)


def over_tasks(chance: np.random.Generator, boards: int, seeds: int) -> Iterator[Line]:
    """Row 1 less row 0, the baseline, over tasks: coverage where both are equal, and what one deviation ahead gives."""
    covered = collections.Counter[str]()
    for number in range(boards):
        scores = chance.normal(size=(ROWS, TASKS, seeds))
        units = np.sqrt(scores.var(-1, ddof=1).mean(0))[:, None]
        runs, base = (scores[1] / units).tolist(), (scores[0] / units).tolist()
        low, high = iqm_interval(runs, base, [ROWS * (seeds - 1)] * TASKS, resamples=400, seed=number)
        covered["iqm"] += low <= 0 <= high
        mean = mean_standardized(_gaps(scores))
        covered["mean"] += mean.low is not None and mean.high is not None and mean.low <= 0 <= mean.high
        scores[1] += 1
        ahead = mean_standardized(_gaps(scores))
        covered["found"] += ahead.p is not None and ahead.p < 0.05 / (ROWS - 1)
        covered["wilcoxon"] += wilcoxon(_gaps(scores)) < 0.05 / (ROWS - 1)
        covered["single"] += ahead.p is not None and ahead.p < 0.05
    data = f"{ROWS} × {TASKS}, n = {seeds}"
    yield "IQM's 95 % interval covers", data, f"{covered['iqm'] / boards:.3f}"
    yield "mean standardized difference's interval covers", data, f"{covered['mean'] / boards:.3f}"
    ahead_words = f"{data}, one deviation ahead on every task"
    found = f"{covered['single'] / boards:.2f} alone, {covered['found'] / boards:.2f} after Holm over {ROWS - 1} rows"
    yield "mean standardized difference finds it", ahead_words, found
    yield "Wilcoxon finds it", ahead_words, f"{covered['wilcoxon'] / boards:.2f} after Holm"


def _gaps(scores: np.ndarray) -> list[float]:
    return ((scores[1] - scores[0]).mean(-1) / BoardTests(scores).typical_deviations()).tolist()


def dunnetts(chance: np.random.Generator, boards: int) -> Line:
    """One task, three seeds, the baseline five times noisier than the other rows."""
    false = warned = both = 0
    for _ in range(boards):
        scores = chance.normal(size=(ROWS, 3))
        scores[0] *= 5
        rows = {str(row): scores[row].tolist() for row in range(1, ROWS)}
        claimed = any(d.p is not None and d.p < 0.05 for d in dunnett(rows, scores[0].tolist()).values())
        unequal = unequal_spreads([scores[0].tolist(), *rows.values()])
        false, warned, both = false + claimed, warned + unequal, both + (claimed and not unequal)
    what = f"{false / boards:.2f}; said to be unreliable {warned / boards:.2f}; false and unsaid {both / boards:.3f}"
    return "Dunnett's false claims", "baseline 5 × noisier, n = 3", what


def best_mean(chance: np.random.Generator, boards: int) -> Line:
    """How far the best of equal rows lies above its truth, in deviations of a run."""
    above, after = [], []
    for _ in range(boards):
        scores = chance.normal(size=(ROWS, TASKS, 3))
        means, errors = scores.mean(-1), BoardTests(scores).standard_errors()
        for task in range(TASKS):
            drawn = shrunken(means[:, task].tolist(), errors[:, task].tolist())
            above.append(means[:, task].max())
            after.append(max(drawn))
    return (
        "the best mean lies above its truth by",
        f"{ROWS} equals, n = 3",
        f"{np.mean(above):.2f} deviations; shrunken {np.mean(after):.2f}",
    )


def ledgers(chance: np.random.Generator, numbers: int, ours: int, ddof: int) -> Iterator[Line]:
    """Verdicts beside a paper's mean of three runs, whose deviation has `ddof`."""
    for truth in (0.0, MARGIN, 5.0):
        verdicts = collections.Counter(
            equivalence(_difference(a, b, ddof), MARGIN * largest_deviation(float(b.std(ddof=ddof)), len(b)))
            for a, b in zip(chance.normal(truth, size=(numbers, ours)), chance.normal(size=(numbers, 3)), strict=True)
        )
        shares = {finding: verdicts[finding] / numbers for finding in ("equivalent", "different", "undecided")}
        data = f"ours n = {ours}, theirs 3 (ddof {ddof}), truth {truth:g} deviations apart"
        told = f"reproduced {shares['equivalent']:.3f}, differs {shares['different']:.3f}"
        yield "the ledger says", data, f"{told}, could not tell {shares['undecided']:.3f}"


def _difference(ours: np.ndarray, theirs: np.ndarray, ddof: int) -> Difference:
    delta = float(ours.mean() - theirs.mean())
    return less_printed(delta, float(ours.std(ddof=1)), len(ours), float(theirs.std(ddof=ddof)), len(theirs))


def lines(boards: int, seed: int = 0) -> Iterator[str]:
    """A Markdown table, line by line as it is computed."""
    yield "| claim | data | seen |"
    yield "|---|---|---|"
    chance = np.random.default_rng(seed)
    claims = [
        first_by_target(chance, max(1, boards // 5)),
        *(line for seeds in (3, 10) for line in over_tasks(chance, boards, seeds)),
        dunnetts(chance, boards),
        best_mean(chance, max(1, boards // 5)),
        *(
            line
            for ours, ddof in ((3, 1), (10, 1), (3, 0), (10, 0))
            for line in ledgers(chance, 20 * boards, ours, ddof)
        ),
    ]
    for line in claims:
        yield f"| {' | '.join(line)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--boards", type=int, default=500, help="of each claim (default: 500; verdicts 20 times as many)"
    )
    for line in lines(parser.parse_args().boards):
        print(line, flush=True)


if __name__ == "__main__":
    main()
