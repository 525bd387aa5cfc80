"""The results of a store as DataFrames."""

from __future__ import annotations

import math

import pandas
import pytest

from optathlon.results import Store, StoreError
from optathlon.results.data_frames import read
from optathlon.results.record import Curve
from tests.results.make import DIVERGED, Sweep, record, setting

RUNS = ["run", "sweep", "task", "scale", "row", "optimizer", "role", "seed", "status", "metric", "unit"]
RUNS += ["higher_is_better", "score", "updates", "problem_id", "setting_id"]


@pytest.fixture
def store(tmp_path):
    """A sweep of two rows and three seeds, one run diverged and one waiting, and a run that no sweep plans."""
    store = Store(tmp_path)
    sweep = Sweep({"sgd": [setting("sgd", lr=0.1)], "adamp": [setting("adamp", lr=0.01, betas=[0.9, 0.99])]})
    store.put_plan(sweep.plan, b"")
    scores = iter([0.5, 0.6, DIVERGED, 0.7, 0.8])
    for run in sweep.plan.runs[:5]:
        of_setting = sweep.settings[run.setting]
        store.commit(record(next(scores), of_problem=sweep.problems["mnist"], of_setting=of_setting, seed=run.seed))
    store.commit(record(0.9, of_setting=setting("mine", momentum=0.5, status="odd"), seed=7))
    return tmp_path


def test_runs_have_a_line_each_with_their_place_score_and_settings(store):
    runs = read(store).runs()
    assert list(runs.columns) == [*RUNS, "lr", "betas", "momentum", "hyperparameter.status"]
    assert len(runs) == 7
    planned = runs[runs.sweep == "sweep"]
    assert list(planned.row) == ["sgd"] * 3 + ["adamp"] * 3
    assert set(planned.role) == {"report"}
    assert set(planned.task) == {"mnist"}
    assert list(planned.seed) == [10, 11, 12] * 2
    assert list(planned.status) == ["finished", "finished", "diverged", "finished", "finished", "waiting"]
    assert planned.score.fillna(-1).tolist() == [0.5, 0.6, -1, 0.7, 0.8, -1]
    assert set(planned.metric) == {"test/accuracy"}
    assert planned.lr.tolist() == [0.1] * 3 + [0.01] * 3
    assert planned.betas.tolist()[-1] == [0.9, 0.99]


def test_a_run_that_no_sweep_plans_has_no_row_and_no_role(store):
    results = read(store)
    (alone,) = results.runs()[lambda runs: runs.sweep.isna()].to_dict("records")
    assert (alone["optimizer"], alone["task"], alone["seed"], alone["score"]) == ("mine", "mnist", 7, 0.9)
    assert pandas.isna(alone["row"])
    assert pandas.isna(alone["role"])
    assert results.unplanned is not None
    assert [row.optimizer for row in results.unplanned.rows] == ["mine"]


def test_means_of_the_runs_are_those_of_the_board(store):
    results = read(store)
    means = results.runs().groupby("row").score.mean()
    board = results.boards["sweep"].to_pandas().set_index("row")
    assert board["mean"]["sgd"] == pytest.approx(means["sgd"])
    assert board["n_diverged"].to_dict() == {"sgd": 1, "adamp": 0}


def test_curves_have_a_line_for_each_point_and_join_the_runs(store):
    results = read(store)
    curves = results.curves()
    assert list(curves.columns) == ["run", "name", "time", "value"]
    assert len(curves) == 6 * 2
    assert set(curves.name) == {"train/loss"}
    joined = results.runs().merge(curves, on="run")
    assert joined[joined.row == "adamp"].groupby("run").value.last().tolist() == [1.0, 1.0]


def test_a_point_that_was_not_finite_is_nan(tmp_path):
    curve = Curve(unit="epochs", points={"train/loss": [(1.0, 2.0), (2.0, None)]})
    Store(tmp_path).commit(record(DIVERGED, curve=curve))
    values = read(tmp_path).curves().value.tolist()
    assert values[0] == 2.0
    assert math.isnan(values[1])


def test_an_empty_store_gives_empty_frames_with_all_columns(tmp_path):
    results = read(tmp_path)
    assert (list(results.runs().columns), len(results.runs())) == (RUNS, 0)
    assert (list(results.curves().columns), len(results.curves())) == (["run", "name", "time", "value"], 0)
    assert (results.boards, results.unplanned, results.problems) == ({}, None, [])
    assert results.runs().score.dtype == float


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="nowhere: there is no such folder; a store is what `optathlon launch`"):
        read(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(StoreError, match=r"notes\.txt: is a file; a store is a folder"):
        read(str(tmp_path / "notes.txt"))
    with pytest.raises(StoreError, match="is no store: it has none of sweeps/, records/, work/"):
        read(tmp_path)


def test_a_damaged_record_or_plan_is_named_and_hides_nothing_else(store):
    victim = read(store).runs().run[0]
    next((store / "records").glob(f"*/{victim}.json")).write_text("{")
    (store / "sweeps" / "bad").mkdir()
    (store / "sweeps" / "bad" / "plan-0001.jsonl").write_text("{")
    results = read(store)
    statuses = results.runs().set_index("run").status
    assert (len(statuses), statuses[victim]) == (7, "failed")
    assert len(results.problems) == 2
    assert any(problem.startswith("sweep bad: ") for problem in results.problems)
