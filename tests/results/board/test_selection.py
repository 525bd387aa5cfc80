"""The winner of a cell is a pure function of plan and records."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from optathlon.results import Store, free_reports, leaderboard, render, winners
from optathlon.results.board.cells import Cells
from optathlon.results.hyperparameter_text import edges, searched_ranges
from optathlon.results.record import Identity, Score
from tests.results.make import DIVERGED, Sweep, digest, setting

LOW, MID, HIGH = (setting("sgd", lr=rate, momentum=0.9) for rate in (0.01, 0.1, 1.0))
CELL = ("sgd", "mnist")


@pytest.fixture
def sweep():
    return Sweep({"sgd": [LOW, MID, HIGH]}, tune=[0, 1])


def tuned(sweep, **values):
    """Tuning records; each value is one validation score a seed, DIVERGED, or None for no record."""
    records = []
    for name, scores in values.items():
        which = {"low": LOW, "mid": MID, "high": HIGH}[name]
        for run, score in zip(sweep.runs(role="tune", setting=which), scores, strict=True):
            if score == DIVERGED:
                records.append(sweep.record(run, DIVERGED))
            elif score is not None:
                records.append(sweep.record(run, test=0.0, validation=score))
    return records


def validation(value, higher_is_better=True):
    return Score(name="validation/accuracy", unit="%", higher_is_better=higher_is_better, value=value)


def choose(sweep, records, failed=()):
    return winners(sweep.plan, records, failed)[CELL]


def test_the_best_mean_over_the_tuning_seeds_wins(sweep):
    winner = choose(sweep, tuned(sweep, low=[0.9, 0.1], mid=[0.6, 0.6], high=[0.5, 0.5]))
    assert winner.setting == digest(MID)
    assert winner.mean == pytest.approx(0.6)
    assert winner.complete
    assert [c.setting for c in winner.candidates] == [digest(s) for s in (MID, LOW, HIGH)]


def test_lower_is_better_where_the_column_says_so(sweep):
    columns = [msgspec.structs.replace(c, selection_higher_is_better=False) for c in sweep.plan.head.columns]
    plan = msgspec.structs.replace(sweep.plan, head=msgspec.structs.replace(sweep.plan.head, columns=columns))
    records = [
        msgspec.structs.replace(r, scores=[msgspec.structs.replace(s, higher_is_better=False) for s in r.scores])
        for r in tuned(sweep, low=[0.9, 0.1], mid=[0.6, 0.6], high=[0.45, 0.45])
    ]
    assert winners(plan, records)[CELL].setting == digest(HIGH)


def test_test_scores_and_report_seeds_select_nothing(sweep):
    records = tuned(sweep, low=[0.1, 0.1], mid=[0.2, 0.2], high=[0.3, 0.3])
    for run in sweep.runs(role="report", setting=LOW):
        records.append(sweep.record(run, test=1.0, validation=1.0))
    assert choose(sweep, records).setting == digest(HIGH)


def test_before_the_tuning_is_complete_nobody_has_won(sweep):
    winner = choose(sweep, tuned(sweep, low=[0.9, 0.9], mid=[0.6, None], high=[0.5, 0.5]))
    assert (winner.setting, winner.complete, len(winner.candidates), winner.planned) == (None, False, 2, 3)
    assert free_reports(sweep.plan, []) == []


def test_a_setting_that_failed_for_good_is_out_and_blocks_nothing(sweep):
    run = sweep.runs(role="tune", setting=LOW)[1]
    winner = choose(sweep, tuned(sweep, low=[0.9, None], mid=[0.6, 0.6], high=[0.5, 0.5]), failed={run.id})
    assert (winner.setting, winner.complete, winner.failed) == (digest(MID), True, [digest(LOW)])


def test_where_all_settings_failed_nothing_is_left_to_report(sweep):
    failed = {r.id for r in sweep.runs(role="tune")}
    winner = choose(sweep, [], failed)
    assert (winner.setting, winner.complete, winner.candidates) == (None, True, [])
    assert free_reports(sweep.plan, [], failed) == []


def test_a_failed_run_that_succeeded_after_all_is_in_again(sweep):
    records = tuned(sweep, low=[0.9, 0.9], mid=[0.6, 0.6], high=[0.5, 0.5])
    assert choose(sweep, records, failed={r.id for r in records}).setting == digest(LOW)


def test_diverged_settings_come_last_whatever_their_other_seeds(sweep):
    winner = choose(sweep, tuned(sweep, low=[0.99, DIVERGED], mid=[DIVERGED, DIVERGED], high=[0.01, 0.01]))
    assert [c.setting for c in winner.candidates] == [digest(s) for s in (HIGH, LOW, MID)]
    assert [c.n_diverged for c in winner.candidates] == [0, 1, 2]


def test_a_non_finite_score_counts_as_diverged(sweep):
    winner = choose(sweep, tuned(sweep, low=[float("nan"), 0.9], mid=[0.1, 0.1], high=[float("inf"), 0.9]))
    assert winner.setting == digest(MID)


def test_ties_go_to_fewer_updates_then_to_the_plans_order(sweep):
    equal = tuned(sweep, low=[0.3, 0.5], mid=[0.5, 0.3], high=[0.4, 0.4])
    assert choose(sweep, equal).setting == digest(LOW)
    shorter = [msgspec.structs.replace(r, updates=99) if r.setting == MID else r for r in equal]
    assert choose(sweep, shorter).setting == digest(MID)


def test_a_winner_on_the_edge_of_its_grid_is_told(sweep):
    for best, told in (("low", ["lr"]), ("mid", []), ("high", ["lr"])):
        scores = {"low": [0.1] * 2, "mid": [0.1] * 2, "high": [0.1] * 2, best: [0.9] * 2}
        assert choose(sweep, tuned(sweep, **scores)).edges == told


def test_settings_drawn_at_random_have_no_edge_but_those_that_move_together_do():
    drawn = [{"lr": lr, "wd": wd, "beta": 0.9} for lr, wd in ((0.013, 0.2), (0.4, 0.07), (0.09, 0.9), (0.7, 0.31))]
    assert [edges(values, searched_ranges(drawn)) for values in drawn] == [[], [], [], []]
    together = [{"lr": 0.1 * 3**i, "wd": 0.1 / 3**i} for i in range(4)]
    assert [edges(values, searched_ranges(together)) for values in together] == [["lr", "wd"], [], [], ["lr", "wd"]]
    rates = [{"lr": values["lr"]} for values in drawn]
    assert [edges(values, searched_ranges(rates)) for values in rates] == [["lr"], [], [], ["lr"]]


def test_words_and_switches_have_no_edge():
    settings = [setting("sgd", lr=0.1, nesterov=n, kind=k) for n, k in ((True, "a"), (False, "b"))]
    sweep = Sweep({"sgd": settings}, tune=[0])
    assert choose(sweep, sweep.records(lambda r: 0.5, role="tune")).edges == []


def test_reports_are_free_for_the_winner_and_where_nothing_is_tuned(sweep):
    records = tuned(sweep, low=[0.1, 0.1], mid=[0.9, 0.9], high=[0.3, 0.3])
    free = free_reports(sweep.plan, records)
    assert free == sweep.runs(role="report", setting=MID)
    assert len(free) == 3
    untuned = Sweep({"a": [LOW], "b": [MID]})
    assert free_reports(untuned.plan, []) == untuned.plan.runs


def test_each_cell_waits_for_itself_only():
    sweep = Sweep({"sgd": [LOW, MID], "adam": [HIGH]}, tasks=["mnist", "ptb"], tune=[0])
    records = sweep.records(lambda r: 0.5, role="tune", column="mnist", row="sgd")
    assert {(r.row, r.column) for r in free_reports(sweep.plan, records)} == {("sgd", "mnist")}


def test_a_setting_with_a_record_that_cannot_be_used_is_left_out_and_names_it(sweep):
    records = tuned(sweep, low=[0.1, 0.1], mid=[0.9, 0.9], high=[0.3, 0.3])
    score = Score(name="validation/accuracy", unit="%", higher_is_better=False, value=0.1)
    for changes, reason in (
        ({"scores": [score]}, "lower values of 'validation/accuracy' are better"),
        ({"scores": []}, "no score 'validation/accuracy'"),
        ({"digests": msgspec.structs.replace(records[0].digests, setting="other")}, "not the planned one"),
    ):
        wrong = msgspec.structs.replace(records[0], **changes)
        (winner,) = winners(sweep.plan, [wrong, *records[1:]]).values()
        (why,) = winner.unusable.values()
        assert list(winner.unusable) == winner.left_out == [digest(LOW)]
        assert wrong.id in why
        assert reason in why
        assert (winner.complete, winner.setting) == (True, digest(MID))


def test_a_plan_without_a_score_to_select_by_selects_nothing_and_says_so(sweep):
    records = tuned(sweep, low=[0.1, 0.1], mid=[0.9, 0.9], high=[0.3, 0.3])
    head = sweep.plan.head
    columns = [msgspec.structs.replace(column, selection=None) for column in head.columns]
    plan = msgspec.structs.replace(sweep.plan, head=msgspec.structs.replace(head, columns=columns))
    (winner,) = winners(plan, records).values()
    assert (winner.setting, winner.complete, len(winner.left_out)) == (None, True, 3)
    assert leaderboard(plan, records).cell("sgd", "mnist").status == "missing"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"status": "diverged"},
        {"scores": [Score(name="validation/accuracy", unit="%", higher_is_better=True, value=1e101)]},
        {"scores": [Score(name="validation/accuracy", unit="%", higher_is_better=True, value=None)]},
        {
            "scores": [
                Score(name="validation/accuracy", unit="%", higher_is_better=h, value=0.95) for h in (False, True)
            ]
        },
        {"scores": []},
        {"digests": Identity(problem=digest("other"), setting=digest(LOW))},
        {"updates": 7},
    ],
    ids=str,
)
def test_records_in_the_index_choose_as_any_others_do(sweep, tmp_path, changes):
    first, *others = tuned(sweep, low=[0.9, 0.8], mid=[0.85, 0.85], high=[0.3, 0.3])
    records = [msgspec.structs.replace(first, **changes), *others]
    store = Store(tmp_path)
    for each in records:
        store.commit(each)
    store.compact()
    assert winners(sweep.plan, store.records_by_id(brief=True)) == winners(sweep.plan, records)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_winner_depends_on_no_order_and_on_no_other_row(data):
    values = st.one_of(st.floats(0, 1), st.just(DIVERGED), st.just(None))
    sweep = Sweep({"sgd": [LOW, MID], "adam": [HIGH]}, tune=[0, 1])
    records = []
    for run in sweep.runs(role="tune"):
        value = data.draw(values)
        if value is not None:
            records.append(sweep.record(run, DIVERGED) if value == DIVERGED else sweep.record(run, 0.0, value))
    chosen = winners(sweep.plan, records)
    assert winners(sweep.plan, data.draw(st.permutations(records))) == chosen
    alone = [r for r in records if r.setting != HIGH]
    assert winners(sweep.plan, alone)[CELL] == chosen[CELL]
    best = chosen[CELL]
    if best.setting and best.candidates[0].n_diverged == 0:
        whole = [c.mean for c in best.candidates if c.n_diverged == 0]
        assert best.mean == max(whole)


EACH = {10: (0, 1), 11: (2, 3), 12: (4, 5)}


def per_seed(values):
    """A sweep of two settings whose report seeds tune by themselves; values: validation score by setting and seed."""
    sweep = Sweep({"sgd": [LOW, HIGH]}, tune=range(6), tuning=EACH)
    records = [
        sweep.record(run, validation=values(run.setting == digest(HIGH), run.seed)) for run in sweep.runs(role="tune")
    ]
    return sweep, records


def test_each_report_seed_has_the_winner_of_its_own_tuning_seeds():
    sweep, records = per_seed(lambda high, seed: 0.9 if high == (seed < 2) else 0.1)
    winner = winners(sweep.plan, records)[CELL]
    assert winner.setting is None
    assert [winner.setting_for(seed) for seed in EACH] == [digest(HIGH), digest(LOW), digest(LOW)]
    assert winner.chosen == {digest(LOW): 2, digest(HIGH): 1}
    assert {(run.seed, run.setting) for run in free_reports(sweep.plan, records)} == {
        (10, digest(HIGH)), (11, digest(LOW)), (12, digest(LOW)),
    }  # fmt: skip


def test_a_report_seed_is_free_as_soon_as_its_own_tuning_is_complete():
    sweep, records = per_seed(lambda high, seed: 0.9 if high else 0.1)
    own = [record for record in records if record.seed in EACH[11]]
    assert [run.seed for run in free_reports(sweep.plan, own)] == [11]
    cell = leaderboard(sweep.plan, own).cell("sgd", "mnist")
    assert (cell.status, cell.n_planned) == ("missing", 3)


def test_a_cell_is_the_mean_over_the_winners_of_its_seeds_and_says_how_many_they_are():
    sweep, records = per_seed(lambda high, seed: 0.9 if high == (seed < 2) else 0.1)
    reports = [sweep.record(run, float(run.seed)) for run in free_reports(sweep.plan, records)]
    cell = leaderboard(sweep.plan, records + reports).cell("sgd", "mnist")
    assert (cell.mean, cell.n, cell.status) == (11.0, 3, "complete")
    assert cell.chosen == {digest(LOW): 2, digest(HIGH): 1}
    assert cell.setting is None
    assert cell.hyperparameters == {"momentum": 0.9}
    assert "each seed has its own winner: 2 settings for 3 seeds" in cell.notes


def test_a_setting_whose_tuning_failed_for_one_seed_is_left_out_of_that_seeds_choice_alone():
    sweep, records = per_seed(lambda high, seed: 0.9 if high else 0.1)
    (run,) = sweep.runs(role="tune", setting=digest(HIGH), seed=0)
    kept = [record for record in records if record.id != run.id]
    winner = winners(sweep.plan, kept, {run.id})[CELL]
    assert winner.chosen == {digest(HIGH): 2, digest(LOW): 1}
    notes = Cells(sweep.plan, kept, {run.id}).cell("sgd", sweep.plan.head.columns[0]).notes
    assert "1 of 2 settings left out of the choice of 1 of 3 seeds: a tuning run failed" in notes


def test_the_part_of_the_tuning_is_told_where_tuning_seeds_can_tell_it(sweep):
    records = tuned(sweep, low=[0.5, 0.7], mid=[0.6, 0.5], high=[0.7, 0.4])
    records += [sweep.record(run, 0.5) for run in free_reports(sweep.plan, records)]
    board = leaderboard(sweep.plan, records)
    assert 0 < board.cell(*CELL).tuning_std < 0.1
    assert "choosing again with other tuning seeds would add, which no mark counts" in render(board)


def test_one_tuning_seed_tells_nothing_of_it():
    alone = Sweep({"sgd": [LOW, HIGH]}, tune=[0])
    records = [alone.record(run, validation=0.5 + (run.setting == digest(LOW))) for run in alone.runs(role="tune")]
    records += [alone.record(run, 0.5) for run in free_reports(alone.plan, records)]
    assert leaderboard(alone.plan, records).cell(*CELL).tuning_std is None
