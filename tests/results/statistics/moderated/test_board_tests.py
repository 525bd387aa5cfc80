"""The one method of all marks: against a literal version, SciPy, and simulated boards of known truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import scipy.stats

from optathlon.results.statistics.moderated import distributions
from optathlon.results.statistics.moderated.board_tests import BoardTests
from optathlon.results.statistics.moderated.collapsing_seeds import collapsing_seeds
from optathlon.results.statistics.moderated.noise_model import NoiseModel

ORACLE = json.loads((Path(__file__).parent / "moderated_boards.json").read_text())


def normal(boards, rows, columns, seeds, seed=0):
    return np.random.default_rng(seed).normal(size=(boards, rows, columns, seeds))


@pytest.mark.parametrize("name", ORACLE)
def test_p_and_intervals_are_those_of_an_independent_implementation(name):
    """SciPy's t and a fit of its own, written apart from this one; the boards are in the file."""
    board = ORACLE[name]
    scores = np.array([[[np.nan if v is None else v for v in cell] for cell in row] for row in board["scores"]])
    model = NoiseModel(scores)
    comparisons = model.compare(np.zeros((1, scores.shape[1]), dtype=int))
    expected = np.array([[np.nan if v is None else v for v in row] for row in board["p"]])
    half = np.array([[np.nan if v is None else v for v in row] for row in board["half"]])
    assert comparisons.p()[1:] == pytest.approx(expected, rel=1e-6, nan_ok=True)
    known = ~np.isnan(expected)
    assert comparisons.half_width()[1:][known] == pytest.approx(half[known], rel=1e-6)
    ties = np.array(board["ties"])
    assert (BoardTests(scores).tied_with_best() == ties).all()


def test_the_same_board_has_the_same_p_alone_and_in_a_stack():
    stack = normal(5, 4, 3, 3)
    together = BoardTests(stack).against_baseline()
    for board, p in zip(stack, together.p, strict=True):
        assert BoardTests(board).against_baseline().p == pytest.approx(p, rel=1e-7, nan_ok=True)
        assert np.array_equal(
            BoardTests(board).against_baseline().p, BoardTests(board).against_baseline().p, equal_nan=True
        )


def test_two_cells_alone_come_out_about_as_welch():
    stack = normal(200, 2, 1, 6)
    stack[:, 1] *= 2
    comparisons = BoardTests(stack).against_baseline()
    assert comparisons.p_welch[:, 1, 0] == pytest.approx(
        scipy.stats.ttest_ind(stack[:, 1, 0], stack[:, 0, 0], axis=-1, equal_var=False).pvalue
    )
    assert np.median(np.abs(comparisons.p[:, 1, 0] - comparisons.p_welch[:, 1, 0])) < 0.05


def test_a_board_knows_its_noise_better_than_three_seeds_do():
    stack = normal(100, 8, 8, 3)
    stack[:, 1:] += 4
    found = BoardTests(stack).against_baseline()
    assert (found.p_holm[:, 1:] < 0.05).mean() > 0.5
    welch = np.sort(found.p_welch[:, 1:].reshape(100, -1), -1)
    assert (welch < 0.05 / 56).mean() < 0.3


def test_common_seeds_are_used_where_they_are_seen_to_correlate():
    apart, shared = normal(60, 6, 6, 5), normal(60, 6, 6, 5, seed=1)
    luck = np.random.default_rng(2).normal(size=(60, 1, 6, 5))
    shared = np.sqrt(0.2) * shared + np.sqrt(0.8) * luck
    widths = [np.nanmean(BoardTests(x).half_widths()[:, 1:]) for x in (apart, shared)]
    assert widths[1] < 0.7 * widths[0]


def test_a_cell_of_one_seed_or_without_spread_is_not_tested():
    board = normal(1, 5, 3, 3)[0]
    board[1, 0] = 5.0
    board[2, 1, 1:] = np.nan
    board[0, 2] = 1.0
    p = BoardTests(board).against_baseline().p
    assert np.isnan(p[1, 0])
    assert np.isnan(p[2, 1])
    assert np.isnan(p[:, 2]).all()
    assert np.isfinite(p[1:, :2]).sum() == 6


def test_equal_scores_on_a_coarse_metric_have_the_noise_of_rounding():
    board = np.round(2 * normal(1, 8, 4, 3)[0])
    board[1, 0] = 2.0
    assert np.isfinite(BoardTests(board).against_baseline().p[1, 0])


def test_columns_may_be_of_any_size():
    board = normal(1, 4, 3, 3)[0] + 5
    sized = board * np.array([1e-120, 1.0, 1e99])[:, None]
    one, other = (BoardTests(x).against_baseline() for x in (board, sized))
    assert other.p == pytest.approx(one.p, rel=1e-6, nan_ok=True)


def test_a_cell_noisier_than_its_row_and_column_has_no_smaller_p_than_welchs():
    board = normal(1, 8, 8, 5)[0]
    board[3, 3] *= 60
    found = BoardTests(board).against_baseline()
    assert found.noisier.sum() == 1
    assert found.p[3, 3] >= found.p_welch[3, 3]


@pytest.mark.parametrize("kind", ["normal", "one noisy cell", "collapsing seeds", "coarse"])
def test_an_interval_leaves_out_0_just_where_p_is_below_its_level(kind):
    for seed in range(8):
        chance = np.random.default_rng(seed)
        scores = chance.normal(size=(6, 5, 3 + seed % 3))
        scores[1::2] += 4 * chance.random()
        if kind == "one noisy cell":
            scores[chance.integers(6), chance.integers(5)] *= 60
        elif kind == "collapsing seeds":
            scores -= 30 * (chance.random(scores.shape) < 0.2)
        elif kind == "coarse":
            scores = np.round(scores)
        tests = BoardTests(scores)
        found = tests.against_baseline()
        for level in (0.5, 0.95, 0.99):
            outside = np.abs(found.delta) > tests.half_widths(level)
            tested = np.isfinite(found.p)
            assert (outside[tested] == (found.p < 1 - level)[tested]).all()


@pytest.mark.filterwarnings("ignore:Precision loss")
def test_welchs_p_is_of_the_scores_as_they_are_also_on_a_coarse_metric():
    scores = 70.1 + 0.1 * np.random.default_rng(3).integers(-1, 2, size=(6, 4, 4))
    scores[1, 0] = scores[2, 1] = scores[0, 3] = scores[1, 3] = 70.1
    p = BoardTests(scores).against_baseline().p_welch
    expected = scipy.stats.ttest_ind(scores[1:], scores[:1], axis=-1, equal_var=False).pvalue
    assert np.isnan(p[1, 3])  # neither has any spread
    expected[0, 3] = np.nan
    assert p[1:] == pytest.approx(expected, nan_ok=True)


def test_ties_are_simultaneous():
    """Of eight equal rows the truly best, any of them, is left unmarked on few boards; of two far ones none is tied."""
    stack = normal(150, 8, 2, 5)
    missed = ~BoardTests(stack).tied_with_best()[:, 0]
    assert missed.mean() < 0.05
    stack[:, :6] -= 30
    assert not BoardTests(stack).tied_with_best()[:, :6].any()


def test_collapsing_seeds_are_told_from_normal_ones():
    calm = normal(200, 8, 8, 3)
    wild = calm - 50 * (np.random.default_rng(1).random(calm.shape) < 0.2)
    assert collapsing_seeds(calm).found.mean() < 0.03
    assert collapsing_seeds(wild).found.mean() > 0.95
    assert not collapsing_seeds(normal(20, 8, 8, 5) - 50 * (normal(20, 8, 8, 5) < -1)).found.any()


x = np.array([0.05, 0.5, 1.0, 2.5, 7.0, 60.0, 1e4])


def test_the_gamma_function_and_the_tails_are_scipys():
    assert distributions.log_gamma(x) == pytest.approx(scipy.special.gammaln(x), rel=1e-11, abs=1e-12)
    t, df = np.meshgrid([0.0, 1e-3, 0.5, 2.0, 12.7, 300.0], [0.5, 1.0, 2.7, 9.0, 200.0, 1e4])
    assert distributions.two_sided_p(t, df) == pytest.approx(2 * scipy.special.stdtr(df, -t), rel=1e-9)
    assert distributions.student_density(t, df) == pytest.approx(scipy.stats.t.pdf(t, df), rel=1e-8, abs=1e-300)
    ratio, of = np.meshgrid([0.1, 1.0, 6.0, 50.0], [1.0, 2.0, 9.0])
    assert distributions.fisher_tail(ratio, of, 5.0) == pytest.approx(scipy.stats.f.sf(ratio, of, 5.0), rel=1e-9)


@pytest.mark.parametrize("count", [3, 12])
def test_the_studentized_range_is_scipys(count):
    q, df = np.meshgrid([0.5, 3.0, 4.5, 8.0], [1.5, 4.0, 60.0])
    expected = scipy.stats.studentized_range.sf(q, count, df)
    assert distributions.range_tail(q, count, df) == pytest.approx(expected, abs=3e-5)
