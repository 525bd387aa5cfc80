"""How far another tuning would move what is chosen: against simulated repeats of the tuning, and a table's ANOVA."""

from __future__ import annotations

import random
import statistics

import pytest

from optathlon.results.statistics.tuning.choice_variance import deviation_of_choice, deviation_of_winners


def tuning(chance, true, seeds):
    """Scores of settings with these true scores: noise of deviation 1, and what a seed does to all of them."""
    of_seed = [chance.gauss(0, 1) for _ in range(seeds)]
    return [[value + shift + chance.gauss(0, 1) for shift in of_seed] for value in true]


def repeated(chance, true, seeds):
    """The deviation of the true score of what is chosen, by 500 tunings."""
    chosen = []
    for _ in range(500):
        means = [value + chance.gauss(0, 1) / seeds**0.5 for value in true]
        chosen.append(true[means.index(max(means))])
    return statistics.pstdev(chosen)


@pytest.mark.parametrize(("settings", "seeds"), [(4, 3), (8, 2), (8, 5)])
def test_it_is_about_what_repeated_tunings_come_to(settings, seeds):
    chance, squares, truths = random.Random(0), [], []
    for _ in range(40):
        true = [chance.gauss(0, 1) for _ in range(settings)]
        squares.append(deviation_of_choice(tuning(chance, true, seeds)) ** 2)
        truths.append(repeated(chance, true, seeds) ** 2)
    assert statistics.fmean(squares) ** 0.5 == pytest.approx(statistics.fmean(truths) ** 0.5, rel=0.35)


def test_what_a_seed_does_to_all_settings_chooses_nothing():
    scores = [[1.0, 2.0, 1.5], [0.2, 1.1, 0.4], [0.5, 1.4, 1.2]]
    shifted = [[value + 100 * seed for seed, value in enumerate(of_setting)] for of_setting in scores]
    assert deviation_of_choice(shifted) == pytest.approx(deviation_of_choice(scores))


def test_a_choice_without_doubt_varies_nothing():
    assert deviation_of_choice([[9.0, 9.0], [1.0, 1.0], [0.0, 0.0]]) == 0
    assert deviation_of_choice([[100.0, 101.0], [1.0, 0.0], [0.0, 2.0]]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("scores", [[], [[1.0, 2.0]], [[1.0], [2.0]]])
def test_one_setting_or_one_seed_tell_nothing(scores):
    assert deviation_of_choice(scores) is None


def test_winners_of_seeds_give_the_component_of_an_unbalanced_analysis_of_variance():
    """By hand: groups (1, 2, 3) and (7, 9): MSB 36.3, MSW 4/3, n0 = 5 - 13/5 = 2.4; Σ = 22, mean 4.4."""
    between = 3 * (2 - 4.4) ** 2 + 2 * (8 - 4.4) ** 2
    within = (2 + 2) / 3
    expected = ((between - within) / 2.4) ** 0.5
    assert deviation_of_winners({"a": [1.0, 2.0, 3.0], "b": [7.0, 9.0]}) == pytest.approx(expected)


def test_winners_tell_nothing_where_all_seeds_agree_or_none_does_and_never_less_than_nothing():
    assert deviation_of_winners({"a": [1.0, 2.0, 3.0]}) is None
    assert deviation_of_winners({"a": [1.0], "b": [2.0], "c": [3.0]}) is None
    assert deviation_of_winners({"a": [1.0, 5.0], "b": [3.0, 3.1]}) == 0
