"""Evidence over tasks: improvement, IQM, ranks, Wilcoxon."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
import scipy.stats

from optathlon.results.statistics.improvement import probability_of_improvement
from optathlon.results.statistics.iqm import iqm, iqm_interval
from optathlon.results.statistics.normalize import normalized
from optathlon.results.statistics.ranking import cliques, critical_difference, friedman, mean_ranks
from optathlon.results.statistics.wilcoxon import wilcoxon

# Demšar 2006, table 6: AUC of C4.5 with its four variants of parameters on 14 data sets.
DEMSAR = {
    "C4.5": [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957],
    "C4.5+m": [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978],
    "C4.5+cf": [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.000, 0.965, 0.614, 0.9751, 0.946],
    "C4.5+m+cf": [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.000, 0.962, 0.669, 0.975, 0.970],
}


def test_improvement_is_mann_whitneys_u_over_the_pairs():
    a, b = [1.0, 2.0, 3.0, 3.0], [0.5, 3.0, 2.5]
    u = scipy.stats.mannwhitneyu(a, b).statistic
    assert probability_of_improvement([a], [b], [True]) == pytest.approx(u / 12)
    assert probability_of_improvement([a], [b], [False]) == pytest.approx(1 - u / 12)
    assert probability_of_improvement([a, [1.0]], [b, [0.0]], [True, True]) == pytest.approx((u / 12 + 1) / 2)
    with pytest.raises(ValueError, match="needs a run"):
        probability_of_improvement([[]], [[1.0]], [True])


def test_iqm_is_the_quarter_trimmed_mean():
    scores = [[0.1, 0.9, 0.4], [0.5, 0.2, 0.8, 100.0]]
    assert iqm(scores) == pytest.approx(scipy.stats.trim_mean(np.concatenate(scores), 0.25))
    assert iqm([[1.0]]) == 1.0
    with pytest.raises(ValueError, match="no scores"):
        iqm([])


def test_the_bootstrap_repeats_with_its_seed_and_knows_no_global_generator():
    chance = random.Random(0)
    scores, base = ([[chance.random() for _ in range(7)] for _ in range(3)] for _ in range(2))
    np.random.seed(0)
    state = np.random.get_state()[1].tolist()
    first = iqm_interval(scores, base, [12] * 3)
    assert first == iqm_interval(scores, base, [12] * 3) != iqm_interval(scores, base, [12] * 3, seed=1)
    assert np.random.get_state()[1].tolist() == state


def test_the_bootstrap_needs_two_runs_in_each_task():
    with pytest.raises(ValueError, match="two runs of both"):
        iqm_interval([[1.0, 2.0], [1.0]], [[1.0, 2.0]] * 2, [4, 4])


@pytest.mark.parametrize(("seeds", "ahead"), [(3, 0.0), (3, 3.0), (10, 1.0)])
def test_the_bootstrap_covers_what_it_says_with_three_seeds_too(seeds, ahead):
    """Two rows of eight on four tasks, of which the second is ahead by 0 to twice `ahead` deviations."""
    chance = np.random.default_rng(seeds)
    gaps = ahead * np.array([0.0, 0.5, 1.5, 2.0])[:, None]
    truth = iqm((gaps + np.random.default_rng(0).normal(size=(4, 50_000))).tolist())
    hits = 0
    for i in range(120):
        runs = chance.normal(size=(8, 4, seeds))
        runs[1] += gaps
        units = np.sqrt(runs.var(-1, ddof=1).mean(0))[:, None]
        low, high = iqm_interval(
            (runs[1] / units).tolist(), (runs[0] / units).tolist(), [8 * (seeds - 1)] * 4, resamples=400, seed=i
        )
        hits += low <= truth <= high
    assert hits >= scipy.stats.binom.ppf(0.001, 120, 0.94)


def test_normalized_scores_put_the_references_at_zero_and_one():
    assert normalized([10.0, 15.0, 20.0, 25.0], zero=10.0, unit=20.0) == [0.0, 0.5, 1.0, 1.5]
    assert normalized([60.0], zero=70.0, unit=50.0) == [0.5]
    with pytest.raises(ValueError, match="same score"):
        normalized([1.0], 2.0, 2.0)


def keys(table):
    return {name: [-v for v in row] for name, row in table.items()}


def test_mean_ranks_share_ties_and_put_infinity_last():
    found = mean_ranks({"a": [1.0, 2.0], "b": [1.0, math.inf], "c": [3.0, 1.0]})
    assert found == {"a": (1.5 + 2) / 2, "b": (1.5 + 3) / 2, "c": (3 + 1) / 2}
    with pytest.raises(ValueError, match="every optimizer needs"):
        mean_ranks({"a": [1.0, math.nan], "b": [1.0, 2.0]})
    with pytest.raises(ValueError, match="every optimizer needs"):
        mean_ranks({"a": [1.0], "b": [1.0, 2.0]})


def test_mean_ranks_of_demsars_example():
    assert list(mean_ranks(keys(DEMSAR)).values()) == pytest.approx([3.143, 2.0, 2.893, 1.964], abs=5e-4)


@pytest.mark.parametrize("optimizers", [3, 4, 12, 150])
@pytest.mark.parametrize("tasks", [1, 2, 14, 60])
def test_friedman_is_scipys_with_few_ties_and_many(optimizers, tasks):
    chance = random.Random(tasks)
    for most in (1, 4, 10**6):
        table = [[float(i % 2 + chance.randint(0, most)) for _ in range(tasks)] for i in range(optimizers)]
        expected = scipy.stats.friedmanchisquare(*table).pvalue
        # SciPy's statistic is a difference of large sums, of which p is the exponential.
        assert friedman({str(i): row for i, row in enumerate(table)}) == pytest.approx(
            expected, rel=1e-11, abs=1e-290, nan_ok=True
        )


def test_friedman_is_demsars_and_knows_infinity():
    assert friedman(keys(DEMSAR)) == pytest.approx(scipy.stats.friedmanchisquare(*DEMSAR.values()).pvalue, rel=1e-13)
    assert friedman({"a": [1.0, 2.0], "b": [2.0, 1.0]}) is None
    assert friedman({name: [1.0, 1.0] for name in "abc"}) is None
    diverged = {"a": [1.0, 2.0, 1.0], "b": [2.0, math.inf, 3.0], "c": [math.inf, 3.0, 4.0]}
    assert friedman(diverged) == friedman({"a": [1.0, 2.0, 1.0], "b": [2.0, 9.0, 3.0], "c": [9.0, 3.0, 4.0]})


def test_friedman_of_hundreds_of_tasks_that_agree_is_as_small_as_it_is():
    ordered = {str(i): [float(i)] * 100 for i in range(10)}
    expected = scipy.stats.chi2.sf(900, 9)
    assert 0 < expected < 1e-180
    assert friedman(ordered) == pytest.approx(expected, rel=1e-11, abs=0)


def test_friedman_holds_its_level():
    chance = random.Random(0)
    tables = [{n: [chance.gauss(0, 1) for _ in range(14)] for n in "abcde"} for _ in range(300)]
    assert sum(friedman(t) < 0.05 for t in tables) <= 0.08 * 300


@pytest.mark.parametrize(("k", "expected"), [(12, 4.45), (5, 1.63), (3, 0.89), (4, 1.25)])
def test_the_critical_difference_of_fourteen_tasks(k, expected):
    assert critical_difference(k, 14) == pytest.approx(expected, abs=6e-3)


def test_cliques_are_the_longest_unbroken_groups():
    ranked = {"a": 1.0, "b": 1.5, "c": 2.4, "d": 4.0}
    assert cliques(ranked, 1.0) == [["a", "b"], ["b", "c"]]
    assert cliques(ranked, 1.5) == [["a", "b", "c"]] or cliques(ranked, 1.5) == [["a", "b", "c"], ["c", "d"]]
    assert cliques(ranked, 0.1) == []
    assert cliques(ranked, 3.0) == [["a", "b", "c", "d"]]


def test_every_pair_within_the_difference_is_in_a_clique():
    chance = random.Random(0)
    for _ in range(100):
        ranked = {str(i): chance.uniform(1, 6) for i in range(6)}
        groups = cliques(ranked, 1.2)
        for a, b in itertools.combinations(ranked, 2):
            assert any(a in g and b in g for g in groups) == (abs(ranked[a] - ranked[b]) <= 1.2)


def test_wilcoxon_is_demsars_example():
    differences = [b - a for a, b in zip(DEMSAR["C4.5"], DEMSAR["C4.5+m"], strict=True)]
    assert wilcoxon(differences) < 0.05
    assert wilcoxon(differences) == pytest.approx(scipy.stats.wilcoxon(differences, zero_method="zsplit").pvalue)
    assert wilcoxon([0.0, 0.0]) == 1.0
    assert wilcoxon([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(0.0625)
    with pytest.raises(ValueError, match="no task"):
        wilcoxon([])


def test_wilcoxon_holds_its_level_over_fourteen_tasks_and_has_power():
    chance = random.Random(0)
    null = [wilcoxon([chance.gauss(0, 1) for _ in range(14)]) < 0.05 for _ in range(500)]
    assert 0.02 < sum(null) / 500 < 0.075
    assert sum(wilcoxon([chance.gauss(1.0, 1) for _ in range(14)]) < 0.05 for _ in range(100)) > 75
