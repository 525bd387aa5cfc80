"""Boards of known truth: the marks hold their level and find what is there (benchmarks/truth.py, its short form)."""

from __future__ import annotations

import pytest
from scipy import stats

from benchmarks.truth import SCENARIOS, simulate

BOUNDED = [scenario for scenario in SCENARIOS if scenario.bound < 1]
BOARDS = 40


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
