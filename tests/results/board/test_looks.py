"""Looks: seeds are bought in stages, only where nothing is decided, and every reader sees the same decisions."""

from __future__ import annotations

import random

import msgspec
import pytest

from optathlon.results import free_reports, leaderboard, render, report_runs
from optathlon.results.plan import Table, TableColumn, TableRow
from tests.results.make import ACCURACY, DIVERGED, Sweep, setting

SEEDS = tuple(range(12))
LOOKS = (3, 5, 8, 12)


def sweep(**changes):
    rows = {"sgd": [setting("sgd")], "near": [setting("adam")], "far": [setting("lion")], "further": [setting("muon")]}
    return Sweep(rows, tasks=("mnist", "cub"), report=SEEDS, baseline="sgd", looks=LOOKS, **changes)


def score(run):
    """Noise of deviation 1; `near` is like the baseline, `far` 6 deviations ahead, on one task alone."""
    noise = random.Random(f"{run.row} {run.column} {run.seed}").gauss(0, 1)
    ahead = {"far": 6.0, "further": 20.0}.get(run.row, 0.0) if run.column == "mnist" else 0.0
    return noise + ahead


def counts(runs):
    found = {}
    for run in runs:
        found[run.row, run.column] = found.get((run.row, run.column), 0) + 1
    return found


def carried_out(staged, most=50, values=score):
    """The records after each stage of what is free, until nothing more is."""
    done, stages = {}, []
    for _ in range(most):
        new = [run for run in free_reports(staged.plan, done.values()) if run.id not in done]
        if not new:
            return done, stages
        done |= {run.id: staged.record(run, values(run)) for run in new}
        stages.append(counts(new))
    raise AssertionError("it never ends")


def test_first_only_the_seeds_of_the_first_look_are_free():
    staged = sweep()
    assert set(counts(free_reports(staged.plan, [])).values()) == {3}
    assert {run.seed for run in free_reports(staged.plan, [])} == {0, 1, 2}


def test_what_is_decided_gets_no_more_seeds_and_the_baseline_goes_on_with_what_is_not():
    staged = sweep()
    done, stages = carried_out(staged)
    total = {cell: sum(stage.get(cell, 0) for stage in stages) for cell in stages[0]}
    assert total["further", "mnist"] == 3
    assert total["near", "mnist"] == total["sgd", "mnist"] == total["sgd", "cub"] == 12
    assert len(done) == sum(total.values()) < len(staged.plan.runs)


def test_a_task_on_which_all_is_decided_buys_none_even_of_the_baseline():
    rows = {"sgd": [setting("sgd")], "far": [setting("lion")]}
    staged = Sweep(rows, report=SEEDS, baseline="sgd", looks=LOOKS)
    done, stages = carried_out(staged, values=lambda run: score(run) + 30 * (run.row == "far"))
    assert len(stages) == 1
    assert len(done) == 6
    assert report_runs(staged.plan, done.values()).later == []


def test_a_look_waits_for_the_last_of_its_runs():
    staged = sweep()
    first = free_reports(staged.plan, [])
    records = [staged.record(run, score(run)) for run in first]
    assert free_reports(staged.plan, records[:-1]) == first
    assert len(free_reports(staged.plan, records)) > len(first)


def test_what_later_looks_may_ask_for_is_told():
    staged = sweep()
    called_for = report_runs(staged.plan, [])
    assert len(called_for.free) == 8 * 3
    assert counts(called_for.later) == dict.fromkeys(counts(called_for.free), 9)


def test_decisions_are_a_function_of_the_records_and_stay():
    staged = sweep()
    done, _ = carried_out(staged)
    board = leaderboard(staged.plan, done.values())
    shuffled = random.Random(1).sample(list(done.values()), len(done))
    assert leaderboard(staged.plan, shuffled) == board
    far = board.cell("further", "mnist")
    assert far.decided_at == 3
    assert far.p_holm < 0.05
    assert far.n == far.n_planned == 3
    first = [record for record in done.values() if record.seed < 3]
    assert leaderboard(staged.plan, first).cell("further", "mnist").decided_at == 3


def test_the_share_of_a_look_is_what_it_adds():
    """At the first of (3, 12) p must be four times smaller than without looks."""
    rows = {"sgd": [setting("sgd")], "far": [setting("lion")]}
    plain = Sweep(rows, report=(0, 1, 2), baseline="sgd")
    staged = Sweep(rows, report=SEEDS, baseline="sgd", looks=(3, 12))
    shift = lambda run: score(run) + 3 * (run.row == "far")  # noqa: E731
    once = leaderboard(plain.plan, plain.records(shift)).cell("far", "mnist")
    look = leaderboard(
        staged.plan, staged.records(shift, seed=0) + staged.records(shift, seed=1) + staged.records(shift, seed=2)
    )
    assert look.cell("far", "mnist").p == pytest.approx(4 * once.p)
    assert look.looks_over == 1


def test_a_cell_with_a_diverged_seed_is_asked_for_no_more():
    staged = sweep()
    done, stages = carried_out(
        staged, values=lambda r: DIVERGED if (r.row, r.column, r.seed) == ("near", "mnist", 1) else score(r)
    )
    assert sum(stage.get(("near", "mnist"), 0) for stage in stages) == 3
    assert leaderboard(staged.plan, done.values()).cell("near", "mnist").p is None


def test_a_failed_run_holds_no_look_up():
    staged = sweep()
    first = free_reports(staged.plan, [])
    lost = next(run for run in first if (run.row, run.column) == ("near", "cub"))
    records = [staged.record(run, score(run)) for run in first if run is not lost]
    assert counts(free_reports(staged.plan, records, {lost.id}))["near", "mnist"] == 5
    assert counts(free_reports(staged.plan, records, {lost.id}))["near", "cub"] == 3


def test_seeds_without_spread_stay_in_the_family_so_that_no_decision_is_undone():
    staged = sweep()
    flat = lambda run: 0.5 if (run.row, run.column) == ("near", "cub") and run.seed < 3 else score(run)  # noqa: E731
    first = [staged.record(run, flat(run)) for run in free_reports(staged.plan, [])]
    board = leaderboard(staged.plan, first)
    assert board.cell("near", "cub").p == 1
    assert board.family == 6
    assert counts(free_reports(staged.plan, first))["near", "cub"] == 5


def test_the_board_says_which_look_decided_and_how_far_the_looks_are():
    staged = sweep()
    done, _ = carried_out(staged)
    text = render(leaderboard(staged.plan, done.values()))
    assert "decided at the look of 3 seeds" in text
    assert "looks at 3, 5, 8 and 12 seeds" in text
    csv = render(leaderboard(staged.plan, done.values()), "csv")
    assert "decided_at" in csv.splitlines()[0]


def directed(record, higher_is_better):
    change = msgspec.structs.replace
    return change(record, scores=[change(s, higher_is_better=higher_is_better) for s in record.scores])


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_a_decided_cell_has_the_interval_of_the_looks(higher_is_better):
    """At the first look that of the level 1 - 0.05 / 4, which is wider than that of the same seeds without looks."""
    staged = sweep(higher_is_better=higher_is_better)
    first = [directed(staged.record(run, score(run)), higher_is_better) for run in free_reports(staged.plan, [])]
    head = msgspec.structs.replace(staged.plan.head, looks=msgspec.UNSET)
    three = msgspec.structs.replace(staged.plan, head=head, runs=[run for run in staged.plan.runs if run.seed < 3])
    looked, at_once = (leaderboard(plan, first).cell("further", "mnist") for plan in (staged.plan, three))
    assert looked.decided_at == 3
    assert 0 < looked.delta_lo < at_once.delta_lo < looked.delta < at_once.delta_hi < looked.delta_hi
    assert (looked.delta_lo + looked.delta_hi) / 2 == pytest.approx(looked.delta)


def test_before_a_look_is_over_there_is_no_interval():
    staged = sweep()
    first = free_reports(staged.plan, [])
    board = leaderboard(staged.plan, [staged.record(run, score(run)) for run in first[:-1]])
    cells = [cell for row in board.rows for cell in row.cells]
    waiting = [cell for cell in cells if cell.delta is not None and cell.status == "complete"]
    assert {cell.untested for cell in waiting} == {"the first look is not over"}
    assert {(cell.p, cell.delta_lo, cell.delta_hi) for cell in cells} == {(None, None, None)}


def test_p_is_below_alpha_just_where_the_interval_leaves_out_0():
    staged = sweep()
    done, _ = carried_out(staged)
    for row in leaderboard(staged.plan, done.values()).rows:
        for cell in row.cells:
            if cell.p is not None:
                assert (cell.p < 0.05) == (not cell.delta_lo <= 0 <= cell.delta_hi)


def test_what_a_printed_table_adds_is_not_tested():
    staged = sweep()
    both = TableColumn(label="mean", of=["mnist", "cub"], metric=ACCURACY, unit="%", higher_is_better=True, digits=1)
    one = TableColumn(label="mnist", of=["mnist"], metric=ACCURACY, unit="%", higher_is_better=True, digits=1)
    rows = [TableRow(label=row.name, row=row.name) for row in staged.plan.head.rows]
    head = msgspec.structs.replace(staged.plan.head, table=Table(columns=[both, one], rows=rows))
    done, _ = carried_out(staged)
    board = leaderboard(msgspec.structs.replace(staged.plan, head=head), done.values(), printed=True)
    added, own = board.rows[3].cells
    assert (added.p, added.delta_lo) == (None, None)
    assert added.delta is not None
    assert own.decided_at == 3


def test_a_sweep_that_tunes_looks_at_what_was_chosen():
    rows = {"sgd": [setting("sgd", lr=rate) for rate in (0.1, 1.0)], "far": [setting("lion")]}
    staged = Sweep(rows, tune=(20,), report=SEEDS, baseline="sgd", looks=LOOKS)
    tuning = [staged.record(run, validation=0.5) for run in staged.runs(role="tune")]
    assert free_reports(staged.plan, tuning[:1]) == []
    assert counts(free_reports(staged.plan, tuning)) == {("sgd", "mnist"): 3, ("far", "mnist"): 3}
    assert report_runs(staged.plan, []).unchosen == {("sgd", "mnist"): 3, ("far", "mnist"): 3}
