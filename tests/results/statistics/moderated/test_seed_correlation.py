"""How far seeds move together, and whether the baseline's move with the others."""

from __future__ import annotations

import numpy as np
import pytest

from optathlon.results.statistics.moderated.cell_moments import moments
from optathlon.results.statistics.moderated.seed_correlation import seed_correlation

BOARDS = 200


def common(chance, rows, rho=0.8, seeds=5, columns=8):
    shared = chance.normal(size=(BOARDS, 1, columns, seeds))
    return np.sqrt(rho) * shared + np.sqrt(1 - rho) * chance.normal(size=(BOARDS, rows, columns, seeds))


def apart(scores):
    return seed_correlation(moments(scores)).baseline_apart


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_a_baseline_that_moves_like_the_others_is_not_called_apart(rho, seeds):
    assert apart(common(np.random.default_rng(0), 8, rho, seeds)).mean() <= 0.01


def test_one_that_does_not_is():
    chance = np.random.default_rng(0)
    scores = common(chance, 8)
    scores[:, 0] = chance.normal(size=scores[:, 0].shape)
    assert apart(scores).mean() > 0.95


def test_of_two_other_rows_nothing_is_said():
    chance = np.random.default_rng(0)
    scores = common(chance, 3)
    scores[:, 0] = chance.normal(size=scores[:, 0].shape)
    assert not apart(scores).any()
