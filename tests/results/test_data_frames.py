"""The results of a store as DataFrames."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas
import pytest

from optathlon.results import Store, StoreError
from optathlon.results.data_frames import read
from optathlon.results.record import Curve
from optathlon.results.store.process_identity import this_process
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


def first(store: Path, pattern: str) -> Path:
    return min(store.glob(pattern))


def in_progress(store: Path) -> None:
    """The run that waits is claimed, by this process; its first events are torn."""
    waiting = read(store).runs().set_index("status").run["waiting"]
    Store(store).claim(waiting, this_process())
    (Store(store).work(waiting) / "events-0001.jsonl").write_text('{"update": 1')


def with_foreign_files(store: Path) -> None:
    for name in ("thesis.pdf", "records/notes.txt", "records/zz/notes.txt", "sweeps/notes.txt", "work/zz/notes.txt"):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_text("mine")


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


HALF_DONE: dict[str, tuple[Callable[[Path], object], dict[str, int], int]] = {
    "a torn record": (lambda s: first(s, "records/*/*.json").write_bytes(b'{"id": "0'), {"failed": 1}, 1),
    "a record of zeros": (lambda s: first(s, "records/*/*.json").write_bytes(bytes(4096)), {"failed": 1}, 1),
    "a record that is a folder": (lambda s: replaced_by_a_folder(first(s, "records/*/*.json")), {"failed": 1}, 1),
    "a torn index": (lambda s: (s / "index.jsonl").write_bytes(b'{"id"'), {}, 0),
    "a run in progress": (in_progress, {"running": 1, "waiting": 0}, 0),
    "no runs": (lambda s: shutil.rmtree(s / "records"), {"waiting": 6, "finished": 0, "diverged": 0}, 0),
    "foreign files": (with_foreign_files, {}, 1),  # that in a folder of records
}


@pytest.mark.parametrize("kind", HALF_DONE)
def test_half_done_and_damaged_stores_are_read_as_far_as_they_go_and_left_as_they_are(kind, store):
    damage, changed, problems = HALF_DONE[kind]
    damage(store)
    before = {path: path.is_file() and path.read_bytes() for path in store.rglob("*")}
    results = read(store)
    statuses = results.runs()[lambda runs: runs.sweep.notna()].status.value_counts()
    assert statuses.sum() == 6
    expected = {"waiting": 1, **changed}
    assert {status: statuses.get(status, 0) for status in expected} == expected
    assert len(results.boards["sweep"].to_pandas()) == 2
    assert set(results.curves().columns) == {"run", "name", "time", "value"}
    assert len(results.problems) == problems
    assert {path: path.is_file() and path.read_bytes() for path in store.rglob("*")} == before


def test_a_plan_that_cannot_be_read_is_named(store):
    replaced_by_a_folder(plan := store / "sweeps" / "sweep" / "plan-0001.jsonl")
    results = read(store)
    (problem,) = results.problems
    assert problem == f"sweep sweep: {plan}: is not a file; move it away"
    assert len(results.runs()) == 6, "as runs that no sweep plans"


@pytest.mark.parametrize("part", ["records", "sweeps", "work", "references"])
@pytest.mark.parametrize(
    "look", [lambda r: r.runs(), lambda r: r.boards, lambda r: r.unplanned, lambda r: r.problems, repr]
)
def test_a_folder_that_cannot_be_read_is_one_error_that_names_it(part, look, store):
    shutil.rmtree(store / part, ignore_errors=True)
    (store / part).symlink_to(part)  # a loop, which nobody may follow, root included
    with pytest.raises(StoreError, match=rf"{part}: cannot be read \(Too many levels of symbolic links\)"):
        look(read(store))


def test_a_store_that_one_may_not_read_is_one_error(store):
    read(store)  # imports what it needs while it may
    store.chmod(0)
    with not_root(), pytest.raises(StoreError, match=r"cannot be read \(Permission denied\)"):
        read(store)
    store.chmod(0o700)


@contextlib.contextmanager
def not_root() -> Iterator[None]:
    """Root may read everything: as nobody, for a while."""
    if root := os.geteuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_store_on_a_read_only_file_system_is_read_like_any_other(store, monkeypatch):
    in_progress(store)
    real = os.open

    def refuse_to_write(path, flags, *more, **options):
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) and str(path).startswith(str(store)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", refuse_to_write)
    results = read(store)
    assert "running" in set(results.runs().status)
    assert (list(results.boards), results.problems) == (["sweep"], [])


@pytest.mark.filterwarnings("error")
def test_any_number_of_hyperparameters_is_told_without_a_warning(tmp_path):
    many = {f"option{number}": number for number in range(150)}
    Store(tmp_path).commit(record(0.5, of_setting=setting("mine", **many)))
    (run,) = read(tmp_path).runs().to_dict("records")
    assert many.items() <= run.items()
