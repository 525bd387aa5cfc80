"""What a sweep can show is told before it is run, by what the store has of its tasks."""

from __future__ import annotations

import random

import pytest

from optathlon.results.analysis.resolution import looked_runs, resolutions
from optathlon.results.statistics.moderated.planned_power import resolution
from tests.results.make import Sweep, problem, record, setting

ROWS = {"sgd": [setting("sgd")], "adam": [setting("adam")]}


def noise(run):
    return random.Random(f"{run.row} {run.seed}").gauss(0, 2)


def test_a_task_without_earlier_runs_is_unknown():
    (line,) = resolutions(Sweep(ROWS, baseline="sgd").plan, [])
    assert (line.difference, line.deviation, line.runs) == (None, None, 0)
    one_seed = [record(0.5, of_setting=setting("lion"))]
    assert resolutions(Sweep(ROWS, baseline="sgd").plan, one_seed)[0].deviation is None


def test_earlier_runs_of_the_same_problem_tell_it():
    sweep = Sweep(ROWS, baseline="sgd", report=range(20))
    (line,) = resolutions(sweep.plan, sweep.records(noise))
    assert line.deviation == pytest.approx(2, rel=0.3)
    assert (line.seeds, line.runs, line.same_problem) == (20, 40, True)
    assert line.difference == pytest.approx(line.deviation * resolution(2, 1, 20))


def test_runs_of_the_task_by_another_protocol_tell_it_where_there_are_no_others():
    other = problem() | {"protocol": {"length": 7}}
    records = [record(float(seed % 3), of_problem=other, seed=seed) for seed in range(6)]
    (line,) = resolutions(Sweep(ROWS, baseline="sgd").plan, records)
    assert line.deviation is not None
    assert not line.same_problem
    elsewhere = [record(float(seed % 3), of_problem=problem(scale="mini"), seed=seed) for seed in range(6)]
    assert resolutions(Sweep(ROWS, baseline="sgd").plan, elsewhere)[0].deviation is None


def test_looks_have_a_line_for_their_first_and_their_last_seeds_and_between_their_ends_an_expected_number_of_runs():
    plan = Sweep(ROWS, baseline="sgd", report=range(12), looks=(3, 5, 8, 12)).plan
    assert [line.seeds for line in resolutions(plan, [])] == [3, 12]
    runs = looked_runs(plan)
    assert (runs.least, runs.most) == (6, 24)
    assert runs.least < runs.expected < runs.most
    assert looked_runs(Sweep(ROWS, baseline="sgd").plan) is None


def test_one_row_alone_is_compared_with_nothing():
    assert resolutions(Sweep({"sgd": [setting("sgd")]}, baseline="sgd").plan, []) == []
