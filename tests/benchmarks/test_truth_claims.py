"""What a board claims beside its marks holds on data of known truth (benchmarks/truth_claims.py, its short form)."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

from benchmarks.truth_claims import best_mean, dunnetts, first_by_target, ledgers, over_tasks


def shares(text):
    """The numbers in what was seen."""
    return [float(word) for word in re.findall(r"\d+\.\d+", text)]


def test_no_row_sets_the_target_that_it_is_measured_by():
    _, _, seen = first_by_target(np.random.default_rng(0), 12)
    assert shares(seen)[0] * 12 <= stats.binom.ppf(0.9999, 12, 1 / 8)


@pytest.mark.parametrize(("ours", "ddof"), [(3, 1), (10, 1), (3, 0), (10, 0)])
def test_the_ledger_calls_neither_equals_different_nor_far_ones_reproduced(ours, ddof):
    chance = np.random.default_rng(1)
    equal, at_margin, far = (shares(seen) for _, _, seen in ledgers(chance, 400, ours, ddof))
    assert equal[1] <= stats.binom.ppf(0.9999, 400, 0.05) / 400
    assert at_margin[0] <= stats.binom.ppf(0.9999, 400, 0.05) / 400
    assert far[0] == 0.0
    assert far[1] > 0.9


def test_where_dunnetts_one_deviation_for_all_is_wrong_it_is_said():
    false, warned, unsaid = shares(dunnetts(np.random.default_rng(2), 40)[2])
    assert false > 0.05
    assert warned > 0.7
    assert unsaid <= 0.2


@pytest.mark.slow
def test_intervals_over_tasks_cover_and_the_mean_finds_what_wilcoxon_cannot():
    lines = list(over_tasks(np.random.default_rng(3), 20, seeds=3))
    covers_iqm, covers_mean, (alone, _), (by_wilcoxon,) = (shares(seen) for _, _, seen in lines)
    assert covers_iqm[0] >= stats.binom.ppf(0.0001, 20, 0.93) / 20
    assert covers_mean[0] >= stats.binom.ppf(0.0001, 20, 0.93) / 20
    assert (alone > 0.5, by_wilcoxon) == (True, 0.0)


def test_the_shrunken_best_is_nearer_to_its_truth():
    above, shrunken = shares(best_mean(np.random.default_rng(4), 10)[2])
    assert above > 0.6 > shrunken
