"""A claimed best tried again: who is challenged, with which seeds, and what is left of the lead."""

from __future__ import annotations

import random

import msgspec
import pytest

from optathlon.results import leaderboard
from optathlon.results.analysis.skeptic import challenge, claims, fresh_seeds, retried
from tests.results.make import DIVERGED, Sweep, digest, run_id, setting

ROWS = ("sgd", "adam", "adamp", "lion")


def sweep_of(**options):
    return Sweep({name: [setting(name)] for name in ROWS}, baseline="sgd", **({"tasks": ("mnist", "ptb")} | options))


def records_of(sweep, runs, score):
    """Records whose scores have the direction of the sweep's columns; none where `score` is None."""
    higher = sweep.plan.head.columns[0].higher_is_better
    records = [sweep.record(run, value) for run in runs if (value := score(run)) is not None]
    return [
        msgspec.structs.replace(r, scores=[msgspec.structs.replace(s, higher_is_better=higher) for s in r.scores])
        for r in records
    ]


def board_of(sweep, scores):
    """scores: by row, the means about which seeds lie."""
    chance = random.Random(0)
    return leaderboard(
        sweep.plan, records_of(sweep, sweep.plan.runs, lambda run: scores[run.row] + chance.gauss(0, 0.1))
    )


def wobble(run):
    """Noise of four seeds that adds up to nothing."""
    return 0.3 * ((run.seed * (3 if run.row in ("adamp", "lion") else 1)) % 4 - 1.5)


def again_of(sweep, tried, seeds):
    return challenge(sweep.plan, tried, seeds, lambda identity, seed: run_id(identity.problem, identity.setting, seed),
                     lambda value: digest(str(value)))  # fmt: skip


SCORES = {"sgd": 70.0, "adam": 73.0, "adamp": 75.0, "lion": 60.0}


def outcome(plan, sweep, score):
    """The board of a challenge in which `score` says what a run came to; None is not done yet."""
    return leaderboard(plan, records_of(sweep, plan.runs, score))


def test_the_best_and_the_next_of_each_task_are_challenged_with_the_lead_that_was_claimed():
    board = board_of(sweep_of(), SCORES)
    tried, left_out = claims(board)
    assert left_out == {}
    assert [(c.column.name, c.best, c.second, c.seeds) for c in tried] == [
        ("mnist", "adamp", "adam", 3), ("ptb", "adamp", "adam", 3)
    ]  # fmt: skip
    for claim in tried:
        best, second = (board.cell(row, claim.column.name) for row in (claim.best, claim.second))
        assert claim.lead == pytest.approx(best.mean - second.mean)
        assert claim.expected == pytest.approx(best.mean_shrunk - second.mean_shrunk)
    assert [c.column.name for c in claims(board, ["ptb"])[0]] == ["ptb"]


def test_of_fewer_than_four_rows_nobody_knows_what_to_expect_of_the_lead():
    sweep = Sweep({name: [setting(name)] for name in ("sgd", "adam", "adamp")}, baseline="sgd")
    (claim,), _ = claims(board_of(sweep, SCORES))
    assert (claim.best, claim.expected) == ("adamp", None)


def test_where_lower_is_better_the_lowest_is_the_best_and_its_lead_is_positive():
    tried, _ = claims(board_of(sweep_of(higher_is_better=False), SCORES))
    assert {(c.best, c.second) for c in tried} == {("lion", "sgd")}
    assert all(c.lead == pytest.approx(10, abs=0.5) for c in tried)


def test_a_row_with_a_missing_or_diverged_seed_makes_no_claim():
    sweep = sweep_of(tasks=("mnist",))
    values = {("adamp", 11): None, ("adam", 12): DIVERGED}
    board = leaderboard(sweep.plan, sweep.records(lambda r: values.get((r.row, r.seed), SCORES[r.row] + r.seed)))
    assert [(c.best, c.second) for c in claims(board)[0]] == [("sgd", "lion")]
    alone = leaderboard(sweep.plan, sweep.records(lambda r: 1.0 if r.row == "sgd" else None))
    assert claims(alone) == ([], {"mnist": "fewer than two rows have all their seeds, none of which diverged"})


def test_a_setting_that_every_seed_chose_for_itself_is_not_tried_with_a_seed_that_did_not_choose_it():
    sweep = Sweep({name: [setting(name)] for name in ROWS}, tune=(0, 1, 2), tuning={10: (0,), 11: (1,), 12: (2,)})
    records = sweep.records(lambda run: SCORES[run.row] + 0.1 * run.seed)
    why = "each seed chooses its own setting: a fresh seed would have to be tuned first"
    assert claims(leaderboard(sweep.plan, records)) == ([], {"mnist": why})


def test_fresh_seeds_are_a_function_of_the_plan_and_none_of_its_own():
    plan, other = sweep_of().plan, sweep_of(report=(10, 11)).plan
    seeds = fresh_seeds(plan, 20)
    assert seeds == fresh_seeds(plan, 20) == [*fresh_seeds(plan, 5), *seeds[5:]]
    assert seeds != fresh_seeds(other, 20)
    assert len(set(seeds) | {run.seed for run in plan.runs}) == 20 + 3
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_the_challenge_is_a_plan_of_those_runs_alone_with_the_ids_that_they_would_have_anywhere():
    sweep = sweep_of()
    tried, _ = claims(board_of(sweep, SCORES))
    again = again_of(sweep, tried[:1], [5, 6])
    again.head.check()
    assert (again.head.name, again.head.baseline) == ("sweep-skeptic", None)
    assert [row.name for row in again.head.rows] == ["adam", "adamp"]
    assert sorted((run.row, run.seed, run.role) for run in again.runs) == [
        (row, seed, "report") for row in ("adam", "adamp") for seed in (5, 6)
    ]
    assert all(run.id == run_id(run.problem, run.setting, run.seed) for run in again.runs)
    assert again.head.digest == again_of(sweep, tried[:1], [5, 6]).head.digest


@pytest.mark.parametrize(
    ("fresh", "verdict"),
    [({"adamp": 75.0}, "holds"), ({"adamp": 73.0}, "not shown"), ({"adamp": 70.0}, "reversed")],
)
def test_what_is_left_of_the_lead_with_its_interval(fresh, verdict):
    sweep = sweep_of(tasks=("mnist",))
    tried, _ = claims(board_of(sweep, SCORES))
    again = again_of(sweep, tried, [5, 6, 7, 8])
    board = outcome(again, sweep, lambda run: (SCORES | fresh)[run.row] + wobble(run))
    (judged,) = retried(tried, board)
    assert judged.verdict == verdict
    lead = board.cell("adamp", "mnist").mean - board.cell("adam", "mnist").mean
    assert (judged.lead, judged.seeds, judged.share_left) == (
        pytest.approx(lead),
        4,
        pytest.approx(lead / tried[0].lead),
    )
    assert judged.interval.low < lead < judged.interval.high
    assert (judged.interval.low > 0, judged.interval.high < 0) == (verdict == "holds", verdict == "reversed")


def test_where_lower_is_better_the_interval_is_turned_with_the_lead():
    sweep = sweep_of(tasks=("mnist",), higher_is_better=False)
    tried, _ = claims(board_of(sweep, SCORES))
    again = again_of(sweep, tried, [5, 6, 7, 8])
    (one,) = retried(tried, outcome(again, sweep, lambda run: SCORES[run.row] + wobble(run)))
    assert (one.verdict, one.interval.low > 5, one.lead > 5) == ("holds", True, True)


def test_what_is_not_done_or_diverged_is_no_verdict():
    sweep = sweep_of(tasks=("mnist",))
    tried, _ = claims(board_of(sweep, SCORES))
    again = again_of(sweep, tried, [5, 6, 7])
    missing = outcome(again, sweep, lambda run: None if run.seed == 7 else SCORES[run.row] + run.seed)
    lost = outcome(again, sweep, lambda run: DIVERGED if (run.row, run.seed) == ("adamp", 7) else 70.0 + run.seed)
    assert [(one.verdict, one.lead) for one in (*retried(tried, missing), *retried(tried, lost))] == [
        ("not done", None), ("diverged", None)
    ]  # fmt: skip


@pytest.mark.slow
def test_among_equals_the_claimed_lead_is_luck_and_fresh_seeds_take_it_away():
    chance = random.Random(2)
    claimed, left, shown = [], [], 0
    for _ in range(20):
        sweep = sweep_of(tasks=("mnist",))
        board = leaderboard(sweep.plan, sweep.records(lambda run: chance.gauss(70, 1)))
        tried, _ = claims(board)
        again = again_of(sweep, tried, [5, 6, 7])
        (one,) = retried(tried, outcome(again, sweep, lambda run: chance.gauss(70, 1)))
        claimed.append(one.claim.lead)
        left.append(one.lead)
        shown += one.verdict != "not shown"
    assert sum(claimed) / 20 > 0.25
    assert abs(sum(left) / 20) < 0.6
    assert shown <= 5
