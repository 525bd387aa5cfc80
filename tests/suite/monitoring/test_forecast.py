"""What runs will cost is judged by runs that were measured; what nothing like it was measured of, is unknown."""

from __future__ import annotations

import json

import pytest

from optathlon.results.record import Ended
from optathlon.suite.errors import SweepError, UsageError
from optathlon.suite.monitoring import budget, status
from optathlon.suite.monitoring.forecast import OTHER_OPTIMIZER, SAME, UNKNOWN, Forecast, Pace
from optathlon.suite.planning.sweep_reader import load
from tests.suite.commands.in_process import run_here
from tests.suite.stories import begin, end, finish, planned, progress
from tests.suite.sweeps import SWEEP, write

LONGER = SWEEP.replace("seeds", "protocol.length = 6\nseeds")
BUILT_IN = SWEEP.replace("toy:TASK", "ptb-awd-lstm")
WIDER = SWEEP.replace("seeds", "protocol.settings.width = 16\nseeds")


def costs(store, plan):
    """(seconds, basis) by row, of the runs with seed 1."""
    forecast = Forecast(store, plan, store.states(r.id for r in plan.runs))
    found = {r.row: forecast.cost(r) for r in plan.runs if r.seed == 1}
    return {row: (cost.seconds, cost.basis) for row, cost in found.items()}


def test_the_median_of_the_same_problem_and_optimizer_comes_first(store, tmp_path):
    plan = planned(tmp_path, SWEEP.replace("[0, 1]", "[0, 1, 2, 3]"))
    for run, seconds in zip(plan.runs[:4], (10.0, 20.0, 90.0, 30.0), strict=True):
        finish(store, plan, run, seconds)
    assert costs(store, plan) == {"sgd": (25.0, SAME), "adamw": (25.0, OTHER_OPTIMIZER)}


def test_of_an_empty_store_nothing_is_predicted(store, tmp_path):
    assert costs(store, planned(tmp_path, SWEEP)) == {"sgd": (None, UNKNOWN), "adamw": (None, UNKNOWN)}
    assert not store.root.exists()


def test_another_length_counts_by_the_ratio_and_another_model_not_at_all(store, tmp_path):
    plan = planned(tmp_path, SWEEP)
    finish(store, plan, plan.runs[0], 30.0)
    assert costs(store, planned(tmp_path, LONGER))["sgd"] == (60.0, SAME)
    assert costs(store, planned(tmp_path, WIDER))["sgd"] == (None, UNKNOWN)


def test_an_optimizers_own_length_counts_by_the_ratio_too(store, tmp_path):
    own = SWEEP.replace('name = "adamw"', 'name = "sgd"\nlabel = "longer"\nprotocol.length = 12')
    plan = planned(tmp_path, own)
    finish(store, plan, plan.runs[0], 30.0)
    assert costs(store, plan) == {"sgd": (30.0, SAME), "longer": (120.0, SAME)}


def test_a_run_that_diverged_says_nothing_of_a_whole_one(store, tmp_path):
    plan = planned(tmp_path, SWEEP)
    finish(store, plan, plan.runs[0], 30.0, status="diverged", diverged_at=3, scores=[])
    assert costs(store, plan)["sgd"] == (None, UNKNOWN)


def test_devices_are_never_mixed(store, tmp_path):
    plan = planned(tmp_path, SWEEP.replace("[0, 1]", "[0, 1, 2, 3]"))
    for run, seconds, device in zip(plan.runs, (10.0, 12.0, 500.0), ("A100", "A100", "cpu"), strict=False):
        finish(store, plan, run, seconds, device)
    forecast = Forecast(store, plan, store.states(r.id for r in plan.runs))
    assert forecast.cost(plan.runs[3]).seconds == pytest.approx(11.0)
    assert forecast.devices == {"A100"}


def test_a_run_on_several_devices_costs_hours_of_each(store, tmp_path):
    plan = planned(tmp_path, SWEEP)
    finish(store, plan, plan.runs[0], 1800.0, "A100", processes=4)
    forecast = Forecast(store, plan, store.states(r.id for r in plan.runs))
    cost = forecast.cost(plan.runs[1])
    assert (cost.seconds, cost.slots, forecast.devices) == (1800.0, 4, {"4 x A100"})
    seen = status.overview(store, plan)
    due = budget.bill(seen)
    assert (due.spent, due.predicted, seen.remaining) == (2.0, 6.0, 6.0)


def test_all_attempts_of_a_run_count(store, tmp_path):
    plan = planned(tmp_path, SWEEP)
    run = plan.runs[0]
    for seconds in (100.0, 40.0):
        begin(store, run, progress(5, 0.5, seconds / 2), progress(10, 1.0, seconds))
        store.end(_stopped(run, len(store.attempts(run.id))))
    begin(store, run)
    finish(store, plan, run, 7.0, attempt=3)
    assert costs(store, plan)["sgd"] == (147.0, SAME)
    forecast = Forecast(store, plan, store.states(r.id for r in plan.runs))
    assert forecast.spent(r.id for r in plan.runs) == pytest.approx(147.0 / 3600)


def test_before_a_run_has_finished_those_under_way_tell_their_pace(store, tmp_path):
    plan = planned(tmp_path, SWEEP)
    begin(store, plan.runs[0], progress(4, 0.5, 10.0), progress(12, 1.5, 30.0))
    assert costs(store, plan) == {"sgd": (60.0, SAME), "adamw": (60.0, OTHER_OPTIMIZER)}
    finish(store, plan, plan.runs[1], 45.0)
    assert costs(store, plan)["sgd"] == (45.0, SAME)


def test_a_pace_needs_two_looks_at_one_attempt():
    assert Pace.from_events([]) is None
    assert Pace.from_events([{"resumed": 4}, progress(4, 0.5, 10.0)]) is None
    assert Pace.from_events([progress(4, 0.5, 10.0), progress(4, 0.5, 10.0)]) is None
    assert Pace.from_events([{"resumed": 4}, progress(4, 0.5, 10.0), progress(14, 1.0, 15.0)]) == Pace(2.0, 0.1)


def test_a_bill_adds_what_is_spent_and_what_is_to_come(store, tmp_path):
    plan = planned(tmp_path, SWEEP)
    finish(store, plan, plan.runs[0], 3600.0)
    for _ in range(3):
        end(store, plan.runs[3])
    overview = status.overview(store, plan)
    due = budget.bill(overview)
    assert (due.spent, due.predicted, due.unknown) == (1.0, 2.0, {})
    assert due.bases == {SAME: 1, OTHER_OPTIMIZER: 1}
    assert budget.bill(overview, retry=True).predicted == 3.0
    budget.check(3.0, overview)
    with pytest.raises(UsageError, match=r"1 hours of one slot are spent and 2 more predicted, but only 2\.9 allowed"):
        budget.check(2.9, overview)
    with pytest.raises(UsageError, match="3 more predicted"):
        budget.check(3.0, overview, retry=True)


def test_what_nobody_can_tell_passes_no_budget(store, tmp_path):
    seen = status.overview(store, planned(tmp_path, SWEEP))
    with pytest.raises(UsageError, match="was ever measured in this store: 4 of toy:TASK"):
        budget.check(1e6, seen)


def test_nothing_to_do_passes_any_budget(store, tmp_path):
    plan = planned(tmp_path, SWEEP)
    for run in plan.runs:
        finish(store, plan, run, 3600.0)
    budget.check(1.0, status.overview(store, plan))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("budget.hours = 0", r"budget.hours: must be a number above 0, hours of one slot, not 0"),
        ('budget.hours = "3"', r"budget.hours: must be a number above 0"),
        ("budget.hour = 3", r"budget.hour: unknown \(did you mean hours\?\)"),
        ("budget = 3", r"budget: must be a table, not 3"),
        ('canary = "yes"', r"canary: must be true or false, not 'yes'"),
    ],
)
def test_a_sweep_with_a_wrong_budget_or_canary_is_refused(line, message, tmp_path):
    with pytest.raises(SweepError, match=message):
        load(write(tmp_path, f"{line}\n{SWEEP}"))


def test_canary_and_budget_are_no_part_of_a_plan(tmp_path):
    plain = planned(tmp_path, SWEEP)
    assert planned(tmp_path, f"canary = true\nbudget.hours = 3\n{SWEEP}").head.digest == plain.head.digest


def test_launch_refuses_what_passes_the_budget_before_anything_is_written(store, tmp_path):
    plan = planned(tmp_path, BUILT_IN)
    finish(store, plan, plan.runs[0], 3600.0)
    write(tmp_path, f"budget.hours = 3.5\n{BUILT_IN}", "capped.toml")
    for words in (["sweep.toml", "--budget", "3.5"], ["capped.toml"]):
        done = run_here(tmp_path, "launch", *words)
        assert done.returncode == 2
        assert "1 hours of one slot are spent and 3 more predicted, but only 3.5 allowed" in done.stderr
    assert not (tmp_path / "store" / "sweeps").exists()


def test_plan_tells_hours_and_what_they_rest_on(store, tmp_path):
    plan = planned(tmp_path, BUILT_IN)
    finish(store, plan, plan.runs[0], 3600.0, "NVIDIA A100")
    done = run_here(tmp_path, "plan", "sweep.toml")
    assert done.stdout.splitlines()[2].split() == ["ptb-awd-lstm", "adamw", "1", "2", "0", "0", "2", "2"]
    assert "hours: 3 of one slot; judged by what was measured on NVIDIA A100" in done.stderr
    assert "1 by the same problem and optimizer, 2 by the same problem, other optimizers" in done.stderr
    told = json.loads(run_here(tmp_path, "plan", "sweep.toml", "--json").stdout)
    assert told["hours"]["spent"] == 1.0
    assert told["hours_left"] == told["hours"]["predicted"] == 3.0
    assert run_here(tmp_path, "plan", "sweep.toml", "--budget", "4").returncode == 0
    assert run_here(tmp_path, "plan", "sweep.toml", "--budget", "3.9").returncode == 2


def _stopped(run, number):

    return Ended(run=run.id, number=number, kind="stopped", moved=True)
