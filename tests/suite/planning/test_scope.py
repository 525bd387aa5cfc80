"""Which cells of a plan the workers of one shape of allocation are for."""

from __future__ import annotations

import pytest

from optathlon.suite.planning.scope import ALL, Scope


def scope(tasks="", rows=""):
    return Scope(frozenset(tasks.split()), frozenset(rows.split()))


@pytest.mark.parametrize(
    ("given", "has"),
    [(ALL, True), (scope("t"), True), (scope("u"), False), (scope("t u", "r"), True), (scope("", "s"), False)],
)
def test_it_has_the_cells_of_its_tasks_and_rows_and_of_all_where_it_names_none(given, has):
    assert given.has_cell("r", "t") == has


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (ALL, scope("t", "r"), True),
        (scope("t"), scope("u"), False),
        (scope("t"), scope("t u", "r"), True),
        (scope("t", "r"), scope("t", "s"), False),
        (scope("", "r"), scope("t"), True),
    ],
)
def test_two_meet_where_some_cell_is_in_both(one, other, meet):
    assert one.meets(other) == other.meets(one) == meet
