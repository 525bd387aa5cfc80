"""Leaving out one task: a literal version of the regret, and stores whose truth is known."""

from __future__ import annotations

import itertools
import math
import random
import statistics

import numpy as np
import pytest

from optathlon.results import leaderboard
from optathlon.results.analysis.transfer import expected_maximum, transfer
from optathlon.results.sweep_results import SweepResults
from tests.results.make import DIVERGED, Sweep, setting

RATES = (0.01, 0.1, 1.0, 10.0)
TASKS = ("a", "b", "c")


def view_of(sweep, records):
    board = leaderboard(sweep.plan, records)
    return SweepResults(plan=sweep.plan, records={r.id: r for r in records}, states={}, board=board)


def tuned(score, tasks=TASKS, tune=(0, 1, 2)):
    """Results of one optimizer with four rates; `score` gives the validation score of (task, rate, seed)."""
    sweep = Sweep({"adam": [setting("adam", lr=rate) for rate in RATES]}, tasks=tasks, tune=tune)
    records = []
    for run in sweep.runs(role="tune"):
        value = score(run.column, sweep.settings[run.setting]["hyperparameters"]["lr"], run.seed)
        if value is not None:
            records.append(sweep.record(run, DIVERGED if value == DIVERGED else value, value))
    return view_of(sweep, records)


def one_of(results):
    (found,), left_out = transfer(results)
    assert left_out == []
    return found


def test_the_regret_is_that_of_a_literal_version():
    chance = random.Random(0)
    scores = {key: chance.gauss(70, 5) for key in itertools.product(TASKS, RATES, (0, 1, 2))}
    transferred = one_of(tuned(lambda *key: scores[key]))
    means = {(t, r): statistics.mean(scores[t, r, s] for s in (0, 1, 2)) for t in TASKS for r in RATES}
    spread = {
        t: math.sqrt(statistics.mean(statistics.variance([scores[t, r, s] for s in (0, 1, 2)]) for r in RATES))
        for t in TASKS
    }
    regret = {(t, r): (max(means[t, q] for q in RATES) - means[t, r]) / spread[t] for t in TASKS for r in RATES}
    for task, carried in zip(TASKS, transferred.tasks, strict=True):
        chosen = min(RATES, key=lambda r: sum(regret[t, r] for t in TASKS if t != task))
        assert carried.hyperparameters == {"lr": chosen}
        assert carried.regret == pytest.approx(regret[task, chosen])
        assert carried.random == pytest.approx(statistics.mean(regret[task, r] for r in RATES))
    one = min(RATES, key=lambda r: sum(regret[t, r] for t in TASKS))
    assert transferred.one_hyperparameters == {"lr": one}
    assert transferred.one_regrets == pytest.approx([regret[t, one] for t in TASKS])
    assert transferred.mean_regret == pytest.approx(statistics.mean(t.regret for t in transferred.tasks))
    assert not transferred.on_test


def test_a_setting_that_is_best_everywhere_carries_over_without_regret():
    found = one_of(tuned(lambda task, rate, seed: 10 * (rate == 0.1) + seed))
    assert [(t.regret, t.kept, t.hyperparameters) for t in found.tasks] == [(0.0, True, {"lr": 0.1})] * 3
    assert found.one_regrets == [0.0] * 3


def test_a_task_of_its_own_kind_has_the_regret_of_what_the_others_choose():
    best = {"a": 0.1, "b": 0.1, "c": 1.0}
    found = one_of(tuned(lambda task, rate, seed: 50.0 - 6 * (rate != best[task]) + seed))
    assert found.tasks[2].hyperparameters == {"lr": 0.1}
    assert found.tasks[2].regret == pytest.approx(6.0)
    assert found.one_regrets == pytest.approx([0.0, 0.0, 6.0])


def test_what_diverged_elsewhere_is_not_chosen_and_what_diverges_here_has_no_regret():
    def score(task, rate, seed):
        if (task, rate) == ("c", 0.1):
            return DIVERGED
        return 10.0 * (rate == 0.1) + 5.0 * (rate == 1.0) + seed

    found = one_of(tuned(score))
    assert [t.hyperparameters["lr"] for t in found.tasks] == [1.0, 1.0, 0.1]
    assert (found.tasks[2].regret, found.mean_regret) == (None, None)
    assert found.one_hyperparameters == {"lr": 1.0}


def test_without_tuning_rows_of_one_optimizer_are_its_settings_and_the_scores_are_of_test():
    sweep = Sweep({f"adam lr={rate:g}": [setting("adam", lr=rate)] for rate in RATES}, tasks=TASKS)
    records = [sweep.record(run, 10.0 * ("0.1" in run.row) + run.seed) for run in sweep.plan.runs]
    found = one_of(view_of(sweep, records))
    assert (found.row, found.settings, found.on_test) == ("adam", 4, True)
    assert [t.kept for t in found.tasks] == [True] * 3


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"tasks": ("a",)}, "fewer than two tasks"),
        ({"tune": (0,)}, "fewer than two tasks on which its settings finished with two seeds"),
    ],
)
def test_too_little_is_said_to_be_too_little(options, why):
    found, (left_out,) = transfer(tuned(lambda task, rate, seed: rate + seed, **options))
    assert (found, left_out.row) == ([], "adam")
    assert why in left_out.why


def test_where_every_setting_diverged_on_some_task_none_is_called_chosen():
    lost = {("a", 0.01), ("a", 0.1), ("b", 1.0), ("c", 10.0)}
    found, (left_out,) = transfer(tuned(lambda task, rate, seed: DIVERGED if (task, rate) in lost else rate + seed))
    assert (found, left_out.why) == ([], "every setting diverged on one of the tasks")


def test_a_cell_whose_tuning_is_not_complete_is_no_task():
    results = tuned(lambda task, rate, seed: None if (task, rate, seed) == ("c", 0.1, 2) else rate + seed)
    assert [t.task for t in one_of(results).tasks] == ["a [smoke, standin-1]", "b [smoke, standin-1]"]


def test_the_luck_of_equals_is_the_expected_maximum():
    chance = np.random.default_rng(0)
    for count in (2, 5, 30):
        drawn = chance.normal(size=(40_000, count)).max(1).mean()
        assert expected_maximum(count) == pytest.approx(drawn, abs=0.02)
    assert expected_maximum(2) == pytest.approx(1 / math.sqrt(math.pi), abs=1e-9)
    assert expected_maximum(1) == 0.0


def test_of_equal_settings_the_mean_regret_is_the_luck():
    chance = np.random.default_rng(1)
    regrets, luck = [], 0.0
    for _ in range(25):
        scores = {key: chance.normal() for key in itertools.product(TASKS, RATES, (0, 1, 2))}
        found = one_of(tuned(lambda *key, scores=scores: scores[key]))
        regrets += [t.regret for t in found.tasks]
        luck = found.tasks[0].luck
    assert np.mean(regrets) == pytest.approx(luck, abs=3.5 * np.std(regrets) / math.sqrt(len(regrets)) + 0.08)
