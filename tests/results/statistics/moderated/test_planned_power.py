"""What is planned is what simulated boards come to (benchmarks/truth.py: 8 × 8, 4 deviations, 3 and 5 seeds)."""

from __future__ import annotations

import numpy as np
import pytest

from optathlon.results.statistics.moderated.board_tests import BoardTests
from optathlon.results.statistics.moderated.planned_power import chance_found, expected_seeds, resolution, usual_df


def test_more_seeds_resolve_smaller_differences_and_more_comparisons_larger_ones():
    assert resolution(8, 8, 3) > resolution(8, 8, 5) > resolution(8, 8, 10)
    assert resolution(2, 1, 5) < resolution(4, 4, 5) < resolution(12, 14, 5)


@pytest.mark.parametrize(("seeds", "found"), [(3, 0.64), (5, 0.99)])
def test_a_power_that_simulation_found_at_four_deviations_is_planned_for_about_four(seeds, found):
    assert resolution(8, 8, seeds, found) == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize(("deviations", "simulated"), [(0, 12.0), (1, 11.9), (2, 9.6), (3, 6.2), (4, 4.5)])
def test_expected_seeds_of_looks_are_those_of_simulated_sweeps_or_a_little_more(deviations, simulated):
    expected = expected_seeds(8, 8, (3, 5, 8, 12), deviations)
    assert simulated - 0.1 <= expected <= simulated + 0.6


def test_the_usual_degrees_of_freedom_grow_with_the_board():
    assert usual_df(2, 1, 3) < usual_df(4, 4, 3) < usual_df(12, 14, 3)


def test_what_a_board_plans_by_its_own_noise_is_about_the_usual():
    scores = np.random.default_rng(0).normal(size=(8, 8, 5))
    planned = BoardTests(scores).planned(5)
    chances = [chance_found(planned, (row, column), 4.0, 0.05 / 56) for row in range(1, 8) for column in range(8)]
    assert np.mean(chances) > 0.9
    assert max(chance_found(planned, (1, 0), 0.0, 0.05), 0) == pytest.approx(0.05, abs=1e-6)
