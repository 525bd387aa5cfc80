"""Looks: what all of them say together of a comparison, against a literal version that takes them one by one."""

from __future__ import annotations

import numpy as np
import pytest

from optathlon.results.statistics.moderated.board_tests import BoardTests
from optathlon.results.statistics.moderated.looks import SequentialTests, shares

LOOKS = (3, 5, 8)


def boards(seed, *, collapsing=False):
    chance = np.random.default_rng(seed)
    scores = chance.normal(size=(4, 3, LOOKS[-1]))
    scores[1::2] += chance.uniform(0, 4)
    return scores - 30 * (chance.random(scores.shape) < 0.2) if collapsing else scores


def after_all(scores, looks=LOOKS):
    tests = SequentialTests(scores.shape[:-1], looks)
    for _ in looks:
        tests.look(scores)
    return tests


def test_shares_are_what_a_look_adds():
    assert shares((3, 5, 8, 12)) == pytest.approx([1 / 4, 1 / 6, 1 / 4, 1 / 3])
    assert sum(shares(LOOKS)) == pytest.approx(1)


@pytest.mark.parametrize("collapsing", [False, True])
def test_an_interval_leaves_out_0_just_where_p_is_below_alpha(collapsing):
    for seed in range(3):
        tests = after_all(boards(seed, collapsing=collapsing))
        low, high = tests.intervals()
        assert (((low > 0) | (high < 0)) == (np.nan_to_num(tests.p, nan=1.0) < tests.alpha)).all()


def test_an_interval_is_what_lies_in_those_of_all_looks_at_their_shares_of_alpha():
    scores = boards(0)
    tests = SequentialTests(scores.shape[:-1], LOOKS)
    low, high, asked = np.full((4, 3), -np.inf), np.full((4, 3), np.inf), np.full((4, 3), 3)
    for share in shares(LOOKS):
        used, still_open = scores.copy(), tests.open.copy()
        for row, column in np.ndindex(4, 3):
            used[row, column, asked[row, column] :] = np.nan
        of_look = BoardTests(used)
        delta, half = of_look.against_baseline().delta, of_look.half_widths(1 - 0.05 * share)
        low[still_open] = np.maximum(low, delta - half)[still_open]
        high[still_open] = np.minimum(high, delta + half)[still_open]
        tests.look(scores)
        asked = tests.asked
    assert tests.low == pytest.approx(low)
    assert tests.high == pytest.approx(high)


def test_what_is_decided_keeps_its_interval():
    scores = boards(1)
    scores[1] += 30
    tests = SequentialTests(scores.shape[:-1], LOOKS)
    tests.look(scores)
    first = [end[1].copy() for end in tests.intervals()]
    tests.look(scores)
    assert (tests.decided_at[1] == 3).all()
    assert np.array_equal([end[1] for end in tests.intervals()], first)


def test_looks_that_contradict_each_other_leave_what_lies_between():
    tests = SequentialTests((2, 1), LOOKS)
    tests.low[1, 0], tests.high[1, 0] = 2.0, 1.5
    assert [float(end[1, 0]) for end in tests.intervals()] == [1.5, 2.0]


def test_seeds_without_spread_give_no_interval():
    scores = boards(2)
    scores[1, 0] = 1.0
    low, high = after_all(scores).intervals()
    assert (low[1, 0], high[1, 0]) == (-np.inf, np.inf)
    assert np.isfinite(low[2, 0])
