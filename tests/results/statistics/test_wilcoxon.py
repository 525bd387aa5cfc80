"""Wilcoxon's signed ranks: SciPy's p for every kind of differences, and p of all signs tried one by one."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
import scipy.stats

from optathlon.results.statistics.wilcoxon import wilcoxon

KINDS = {
    "plain": lambda chance: chance.gauss(0.5, 1),
    "all of one sign": lambda chance: chance.uniform(0.1, 2),
    "tied": lambda chance: float(chance.choice((-3, -2, -1, 1, 2, 3, 4))),
    "tied and zero": lambda chance: float(chance.randint(-1, 3)),
    "mostly zero": lambda chance: float(chance.random() < 0.1),
    "of all sizes": lambda chance: chance.gauss(0, 1) * 10.0 ** chance.randint(-300, 300),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 14, 49, 50, 51, 400])
def test_p_is_scipys(kind, count):
    """SciPy is told no method: it counts, tries all signs, which is slow, or takes the normal approximation."""
    chance = random.Random(count)
    for _ in range(1 if count == 8 else 8):
        differences = [KINDS[kind](chance) for _ in range(count)]
        if any(differences):
            expected = scipy.stats.wilcoxon(differences, zero_method="zsplit").pvalue
            assert wilcoxon(differences) == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.slow
def test_thirteen_tied_tasks_are_the_most_that_are_exact_as_they_are_with_scipy():
    differences = [1.0, 1.0, 2.0, -2.0, 0.0, 3.0, 4.0, 4.0, -1.0, 5.0, 5.0, 6.0, 7.0]
    assert wilcoxon(differences) == pytest.approx(scipy.stats.wilcoxon(differences, zero_method="zsplit").pvalue)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [6, 13])
def test_p_of_few_tasks_is_the_share_of_all_signs(kind, count):
    chance = random.Random(count)
    differences = np.array([1.0, *(KINDS[kind](chance) for _ in range(count - 1))])
    signed_ranks = np.sign(differences) * scipy.stats.rankdata(np.abs(differences))
    signs = np.array(list(itertools.product((1, -1), repeat=count)))
    far = np.abs(signs @ signed_ranks) >= abs(signed_ranks.sum())
    assert wilcoxon(list(differences)) == far.mean()


def test_the_smallest_p_is_exact_up_to_fifty_tasks_and_as_small_as_it_is_beyond():
    assert wilcoxon([float(i) for i in range(1, 51)]) == 2 / 2**50
    deviations_off = math.sqrt(3 * 400 * 401 / (2 * 801))
    expected = math.erfc(deviations_off / math.sqrt(2))
    assert wilcoxon([float(i) for i in range(1, 401)]) == pytest.approx(expected, rel=1e-12, abs=0)
    assert 0 < wilcoxon([float(i) for i in range(1, 1201)]) < 1e-195


def test_no_difference_is_no_evidence_and_infinity_the_largest():
    assert wilcoxon([0.0, 0.0]) == wilcoxon([0.0] * 60) == 1.0
    assert wilcoxon([-1.0, 2.0, math.inf]) == wilcoxon([-1.0, 2.0, 3.0])


def test_the_sign_and_the_unit_do_not_matter():
    differences = [0.0, -1.0, 2.0, 2.0, 5.0, -3.0, 7.0]
    assert wilcoxon([-d for d in differences]) == wilcoxon(differences) == wilcoxon([1e-200 * d for d in differences])


@pytest.mark.parametrize("differences", [[], [1.0, math.nan], [0.0, math.nan]])
def test_nothing_and_what_is_no_number_are_refused(differences):
    with pytest.raises(ValueError, match=r"no task|not a number"):
        wilcoxon(differences)
