"""Boards of known truth: the marks hold their level and find what is there (benchmarks/truth.py, its short form)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks import truth_looks
from benchmarks.truth import SCENARIOS, simulate

BOUNDED = [scenario for scenario in SCENARIOS if scenario.bound < 1]
BOARDS = 40
LOOKS = (3, 5, 8, 12)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", BOUNDED, ids=lambda scenario: scenario.name)
def test_no_more_boards_of_equals_than_its_bound_have_a_dagger(scenario):
    line = simulate(scenario, 6, 6, 3, BOARDS)
    assert line.false * BOARDS <= stats.binom.ppf(0.9999, BOARDS, scenario.bound)
    assert line.covers > 0.9
    assert line.unmarked_best < 0.1


def test_the_same_seed_gives_the_same_numbers_and_four_deviations_are_found():
    normal = next(scenario for scenario in SCENARIOS if scenario.name == "normal")
    line = simulate(normal, 6, 6, 3, 10)
    assert line == simulate(normal, 6, 6, 3, 10)
    assert line.found > 0.4 > line.found_welch


@pytest.mark.slow
def test_looks_keep_the_level_and_buy_fewer_seeds_of_what_is_far_ahead():
    normal = next(scenario for scenario in SCENARIOS if scenario.name == "normal")
    chance = np.random.default_rng(0)
    equal = normal.noise(chance, (BOARDS, 4, 4, 12))
    split, _ = truth_looks.false_marks(equal, LOOKS)
    assert split * BOARDS <= stats.binom.ppf(0.9999, BOARDS, 0.05)
    needed, covered = [], []
    for ahead in (0.0, 3.0, 6.0):
        scores = normal.noise(chance, (15, 4, 4, 12))
        scores[:, 1::2] += ahead
        seeds, _, covers = truth_looks.seeds_found_covered(scores, ahead, LOOKS)
        needed.append(seeds)
        covered.append(covers)
    assert needed == sorted(needed, reverse=True)
    assert min(covered) > 0.9
    assert needed[0] > 11.5
    assert needed[1] < 7
    assert needed[2] < 4
