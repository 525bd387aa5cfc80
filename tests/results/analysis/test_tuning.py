"""Tuning budgets and good rates: of validation where settings are tuned, and never a choice by test."""

from __future__ import annotations

import math

import pytest

from optathlon.results import Store, load_results
from optathlon.results.analysis.tuning import budgets, rates
from optathlon.results.statistics.planner import pooled_deviation
from optathlon.results.statistics.tuning.budget import budget_curve, tunability
from optathlon.results.statistics.tuning.robustness import good_region
from tests.results.make import DIVERGED, Sweep, setting

RATES = (0.001, 0.01, 0.1, 1.0)
NOISE = (-0.1, 0.1)


def looked(tmp_path, sweep, test, validation=None):
    """The results of a store with an outcome for each run; test, validation: functions of a run and its rate."""
    store = Store(tmp_path / "store")
    for run in sweep.plan.runs:
        rate = sweep.settings[run.setting]["hyperparameters"]["lr"]
        value = test(run, rate)
        if value is not None:
            chosen = (validation or test)(run, rate) if value != DIVERGED else 0.0
            store.commit(sweep.record(run, value, validation=chosen))
    store.put_plan(sweep.plan, b"")
    return load_results(store, store.plan("sweep"))


def hill(run, rate):
    """Best at 0.01; each seed a little off."""
    return 70 - 2 * abs(math.log10(rate) + 2) + NOISE[run.seed % 2]


def tuned(rows=("sgd", "adam")):
    return Sweep({name: [setting(name, lr=rate) for rate in RATES] for name in rows}, tune=[0, 1], report=[10, 11])


def test_the_budget_is_of_validation_means_over_tuning_seeds(tmp_path):
    curves = budgets(looked(tmp_path, tuned(), lambda run, rate: 1.0, hill))
    means = [70 - 2 * abs(math.log10(rate) + 2) for rate in RATES]
    assert [(curve.row, curve.metric) for curve in curves] == [
        ("sgd", "validation/accuracy"),
        ("adam", "validation/accuracy"),
    ]
    assert curves[0].best == pytest.approx(budget_curve(means))
    assert curves[0].tunability == pytest.approx(tunability(budget_curve(means)))


def test_the_estimator_may_be_dodges(tmp_path):
    (found,) = budgets(looked(tmp_path, tuned(("sgd",)), lambda run, rate: 1.0, hill), "dodge")
    means = [70 - 2 * abs(math.log10(rate) + 2) for rate in RATES]
    assert found.best == pytest.approx(budget_curve(means, estimator="dodge"))


def test_a_setting_that_diverged_counts_as_the_worst(tmp_path):
    found = budgets(looked(tmp_path, tuned(("sgd",)), lambda run, rate: DIVERGED if rate == 1.0 else hill(run, rate)))
    worst = 68.0
    assert found[0].best == pytest.approx(budget_curve([68.0, 70.0, 68.0, worst]))
    assert found[0].diverged == 1


def test_without_tuning_there_is_no_budget(tmp_path):
    sweep = Sweep({f"sgd lr={rate:g}": [setting("sgd", lr=rate)] for rate in RATES}, report=[0, 1])
    assert budgets(looked(tmp_path, sweep, hill)) == []


def test_the_good_region_is_within_two_deviations_between_seeds(tmp_path):
    (sgd, _) = rates(looked(tmp_path, tuned(), lambda run, rate: 1.0, hill))
    scores = {rate: pytest.approx(70 - 2 * abs(math.log10(rate) + 2)) for rate in RATES}
    assert (sgd.row, sgd.metric, sgd.scores) == ("sgd", "validation/accuracy", scores)
    # Tuning and report seeds alike: all have validation scores.
    assert sgd.tolerance == pytest.approx(2 * pooled_deviation([NOISE * 2]))
    assert sgd.region == good_region(sgd.scores, sgd.tolerance)
    assert sgd.region.decades == pytest.approx(sgd.tolerance)  # two points a decade, on both sides


def test_the_tolerance_may_be_given(tmp_path):
    found = rates(looked(tmp_path, tuned(("sgd",)), hill), tolerance=2.0)
    assert (found[0].region.low, found[0].region.high) == (pytest.approx(0.001), pytest.approx(0.1))


def test_where_nothing_is_tuned_rows_that_differ_by_the_rate_are_one_line(tmp_path):
    rows = {
        f"sgd lr={rate:g} momentum={momentum}": [setting("sgd", lr=rate, momentum=momentum)]
        for momentum in (0.0, 0.9)
        for rate in RATES
    }
    found = rates(looked(tmp_path, Sweep(rows, report=[0, 1]), hill))
    assert [each.row for each in found] == ["sgd momentum=0.0", "sgd momentum=0.9"]
    assert found[0].metric == "test/accuracy"
    assert list(found[0].scores) == list(RATES)


def test_a_rate_at_which_a_seed_diverged_has_no_score(tmp_path):
    (sgd,) = rates(looked(tmp_path, tuned(("sgd",)), lambda run, rate: DIVERGED if rate == 1.0 else hill(run, rate)))
    assert sgd.scores[1.0] is None
    assert sgd.region.high < 1.0


def test_one_seed_has_no_tolerance_and_one_rate_no_line(tmp_path):
    sweep = Sweep({"sgd": [setting("sgd", lr=rate) for rate in RATES]}, tune=[0], report=[10])
    (line,) = rates(looked(tmp_path, sweep, lambda run, rate: hill(run, rate) if run.role == "tune" else None))
    assert (line.tolerance, line.region) == (None, None)
    single = Sweep({"sgd": [setting("sgd", lr=0.1)]}, tune=[0, 1], report=[10])
    assert rates(looked(tmp_path / "other", single, hill)) == []
