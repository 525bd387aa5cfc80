"""The seeds of a sweep file: lists, looks, and tuning seeds of each report seed's own."""

from __future__ import annotations

import pytest

from optathlon.suite.errors import SweepError
from optathlon.suite.planning.seeds import default_looks, read_seeds
from tests.suite.stories import planned

SWEEP = """
name = "seeds"
scale = "smoke"
tasks = ["toy:TASK"]
{seeds}

[[optimizer]]
name = "sgd"
grid.lr = [0.1, 0.2]

[[optimizer]]
name = "adamw"
"""


def test_a_list_reports_all_at_once():
    seeds = read_seeds([3, 1], "once")
    assert (seeds.tune, seeds.report, seeds.looks, seeds.per_seed) == ((), (3, 1), (), False)


@pytest.mark.parametrize(
    ("first", "most", "looks"),
    [
        (3, 12, (3, 5, 8, 12)),
        (2, 3, (2, 3)),
        (3, 3, (3,)),
        (3, 9, (3, 5, 9)),
        (5, 40, (5, 8, 13, 21, 40)),
        (2, 10, (2, 3, 5, 8, 10)),
    ],
)
def test_looks_grow_by_about_three_fifths_and_end_with_most(first, most, looks):
    assert default_looks(first, most) == looks
    assert read_seeds({"report": {"first": first, "most": most}}, "once").looks == looks


def test_report_seeds_of_looks_are_the_smallest_that_tune_nothing():
    seeds = read_seeds({"tune": [0, 2], "report": {"first": 3, "most": 5}}, "once")
    assert seeds.report == (1, 3, 4, 5, 6)
    more = read_seeds({"tune": [0, 2], "report": {"first": 3, "most": 12}}, "once")
    assert more.report[:5] == seeds.report


def test_looks_may_be_given_one_by_one():
    assert read_seeds({"report": {"looks": [2, 4, 8]}}, "once").looks == (2, 4, 8)


def test_per_seed_each_report_seed_has_its_own_tuning_seeds_in_order():
    seeds = read_seeds({"tune": [0, 1, 2, 3, 4, 5], "report": [10, 11, 12]}, "per seed")
    assert seeds.tuning() == {10: (0, 1), 11: (2, 3), 12: (4, 5)}


@pytest.mark.parametrize(
    ("seeds", "select", "words"),
    [
        ([0], "each", r'select: must be "once" or "per seed", not \'each\''),
        ([0, 1], "per seed", "must have a multiple of 2 seeds, as seeds.report has, not 0"),
        ({"tune": [0, 1, 2], "report": [3, 4]}, "per seed", "a multiple of 2 seeds, as seeds.report has, not 3"),
        ({"report": {"first": 1, "most": 3}}, "once", "seeds.report.first: must be a whole number from 2 to 10,000"),
        ({"report": {"first": 3}}, "once", "seeds.report.most: must be a whole number .*; it is missing"),
        ({"report": {"first": 5, "most": 3}}, "once", "seeds.report.first: 5 is more than seeds.report.most, 3"),
        ({"report": {"first": True, "most": 3}}, "once", "seeds.report.first"),
        ({"report": {"looks": [3, 3]}}, "once", "seeds.report.looks: must be rising whole numbers"),
        (
            {"report": {"first": 3, "most": 9, "looks": [3, 5]}},
            "once",
            r"must begin with first, 3, and end with most, 9",
        ),
        ({"report": {"frist": 3, "most": 9}}, "once", "seeds.report.frist: unknown \\(did you mean first"),
        ({"report": {"first": 3, "most": 10**9}}, "once", "seeds.report.most"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_would_be_right(seeds, select, words):
    with pytest.raises(Exception, match=words):
        read_seeds(seeds, select)


def test_the_plan_holds_looks_and_groups_and_nothing_of_them_where_there_are_none(tmp_path):
    plain = planned(tmp_path, SWEEP.format(seeds="seeds = [0, 1, 2]")).head
    assert not plain.looks
    assert not plain.tuning
    looks = planned(tmp_path, SWEEP.format(seeds="seeds.report = {first = 2, most = 4}")).head
    assert looks.looks == [2, 3, 4]
    each = planned(tmp_path, SWEEP.format(seeds='select = "per seed"\nseeds = {tune = [0, 1], report = [5, 6]}')).head
    assert [(group.report, group.tune) for group in each.tuning] == [(5, [0]), (6, [1])]


def test_runs_are_the_same_whether_seeds_are_bought_at_once_or_in_looks(tmp_path):
    once = planned(tmp_path, SWEEP.format(seeds="seeds = [0, 1, 2, 3]"))
    looks = planned(tmp_path, SWEEP.format(seeds="seeds.report = {first = 2, most = 4}"))
    assert once.runs == looks.runs


def test_looks_without_a_row_to_compare_are_refused(tmp_path):
    alone = SWEEP.format(seeds="seeds.report = {first = 2, most = 4}").partition("[[optimizer]]")
    with pytest.raises(SweepError, match="no row but the baseline; give a list of seeds"):
        planned(tmp_path, f'{alone[0]}[[optimizer]]\nname = "adamw"\n')
