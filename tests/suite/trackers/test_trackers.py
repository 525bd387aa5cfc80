"""What each tracker reads of an export with its own reader: every curve, score and setting, under the right name."""

from __future__ import annotations

import errno
import functools
import json
import math
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from optathlon.results import Store
from optathlon.results.record import Curve, Score
from optathlon.suite import main
from optathlon.suite.trackers import mlflow, tensorboard
from optathlon.suite.trackers.tracked_run import LONGEST_FILE_NAME, TrackedRun, file_name
from tests.results.make import Sweep, record, setting

CURVE = Curve(
    unit="epochs", points={"train/loss": [(0.5, 2.0), (1.0, 1.0), (2.0, None)], "test/accuracy": [(2.0, 90.0)]}
)
SCORES = [
    Score(name="test/accuracy", unit="%", higher_is_better=True, value=90.0),
    Score(name="test/recall@1", unit="%", higher_is_better=True, value=None),
]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A store with a sweep of two rows and one seed, and one run that no sweep plans; each has CURVE and SCORES."""
    sweep = Sweep({name: [setting(name, lr=0.1)] for name in ("sgd", "adamp")}, report=[7], baseline="sgd")
    store = Store(tmp_path / "store")
    store.put_plan(sweep.plan, b"")
    alone = record(0.5, of_setting=setting("lion", lr=0.3), seed=1)
    for each in (*sweep.records(lambda _: 90.0), alone):
        store.commit(msgspec.structs.replace(each, curve=CURVE, scores=SCORES))
    monkeypatch.chdir(tmp_path)
    return store


def export(capsys, *words: str) -> str:
    """What is said of a successful export into the folder `out`."""
    code = main.main(["export", *words, "--store", "store"])
    out, error = capsys.readouterr()
    assert (code, out) == (0, ""), error
    return error


def in_a_process_of_its_own(test: Callable[..., None]) -> Callable[..., None]:
    """MLflow hooks into imports: later tests of this process would find neither packages nor torch's back ends."""

    @functools.wraps(test)
    def apart(**fixtures: object) -> None:
        process = multiprocessing.get_context("fork").Process(target=test, kwargs=fixtures)
        process.start()
        process.join()
        assert process.exitcode == 0, "its traceback is on stderr"

    return apart


@pytest.mark.slow
def test_tensorboard_reads_curves_scores_and_settings(runs, capsys):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert "written: out, 2 runs" in export(capsys, "sweep", "--tensorboard", "out")
    (folder,) = Path("out/sweep").glob("*/adamp-s7-report-*")
    events = EventAccumulator(str(folder))
    events.Reload()
    loss = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert loss[:2] == [(500, 2.0), (1000, 1.0)]
    assert (loss[2][0], math.isnan(loss[2][1])) == (2000, True)
    assert [event.value for event in events.Scalars("score/test/accuracy")] == [90.0]
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert b"adamp" in events.summary_metadata["_hparams_/session_start_info"].plugin_data.content


@pytest.mark.slow
@in_a_process_of_its_own
def test_mlflow_reads_curves_scores_and_settings(runs, capsys):
    from mlflow.tracking import MlflowClient

    assert "written: out, 3 runs" in export(capsys, "--mlflow", "out")
    client = MlflowClient(tracking_uri="sqlite:///out/mlflow.db")
    experiments = {experiment.name: experiment.experiment_id for experiment in client.search_experiments()}
    assert {"sweep", "no sweep"} <= experiments.keys()
    (adamp,) = client.search_runs([experiments["sweep"]], "params.optimizer = 'adamp'")
    assert {**adamp.data.params, "run": ""} == {
        "lr": "0.1", "task": "mnist", "scale": "smoke", "optimizer": "adamp", "row": "adamp", "role": "report",
        "seed": "7", "status": "finished", "run": "",
    }  # fmt: skip
    history = client.get_metric_history(adamp.info.run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in history][:2] == [(500, 2.0), (1000, 1.0)]
    assert adamp.data.metrics["score/test/accuracy"] == 90.0
    assert math.isnan(adamp.data.metrics["score/test/recall_1"])
    assert adamp.info.status == "FINISHED"
    (alone,) = client.search_runs([experiments["no sweep"]])
    assert alone.data.params["row"] == "lion"


@pytest.mark.slow
@in_a_process_of_its_own
def test_mlflow_takes_a_sweep_called_default_odd_names_and_more_settings_than_it_takes_at_once(tmp_path):
    from mlflow.tracking import MlflowClient

    many = setting("sgd", **{f"option{number}": number for number in range(120)}, **{"a$": 1, "a%": 2})
    odd = Curve(unit="epochs", points={"../loss": [(1.0, 2.0)]})
    run = TrackedRun(record=record(0.5, of_setting=many, curve=odd), sweep="Default", row="sgd", role="report")
    mlflow.write([run], tmp_path)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    (default,) = client.search_experiments()
    (read,) = client.search_runs([default.experiment_id])
    assert default.name == "Default"
    assert read.data.metrics["_/loss"] == 2.0
    assert len(read.data.params) == len(run.settings)
    assert (read.data.params["a_"], read.data.params["a__"]) == ("1", "2")


@pytest.mark.slow
@in_a_process_of_its_own
def test_wandb_reads_curves_scores_and_settings(runs, capsys):
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    assert "written: out, 2 runs" in export(capsys, "sweep", "--wandb-offline", "out")
    files = sorted(Path("out/wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2
    entries = []
    for path in files:
        log = DataStore()
        log.open_for_scan(str(path))
        while data := log.scan_data():
            entry = wandb_internal_pb2.Record()
            entry.ParseFromString(data)
            entries.append(entry)
    configs = [
        {item.key: json.loads(item.value_json) for item in entry.run.config.update}
        for entry in entries if entry.WhichOneof("record_type") == "run"
    ]  # fmt: skip
    assert {(config["optimizer"], config["lr"], config["seed"]) for config in configs} == {
        ("sgd", 0.1, 7),
        ("adamp", 0.1, 7),
    }
    rows = [
        {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in entry.history.item}
        for entry in entries if entry.WhichOneof("record_type") == "history"
    ]  # fmt: skip
    assert [(row["epochs"], row["train/loss"]) for row in rows[:2]] == [(0.5, 2.0), (1.0, 1.0)]
    assert rows[2]["test/accuracy"] == 90.0


@pytest.mark.parametrize(
    ("option", "module", "extra"),
    [
        ("tensorboard", "tensorboard", "tensorboard"),
        ("mlflow", "alembic", "mlflow"),
        ("wandb-offline", "wandb", "wandb"),
    ],
)
def test_a_missing_package_is_one_line_with_its_extra(option, module, extra, runs, monkeypatch, capsys):
    for name in [
        name for name in sys.modules if name == module or name.startswith((f"{module}.", "torch.utils.tensorboard"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert main.main(["export", f"--{option}", "out", "--store", "store"]) == 4
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"optathlon: --{option}: needs {module}")
    assert error.endswith(f"pip install 'optathlon[{extra}]'")
    assert not Path("out").exists()


@pytest.mark.parametrize("existed", [True, False])
def test_an_export_that_fails_half_way_leaves_nothing_and_can_be_tried_again(existed, runs, monkeypatch, capsys):
    def fill_the_disk(runs, folder: Path) -> None:
        (folder / "half").mkdir(parents=True)
        raise OSError(errno.ENOSPC, "No space left on device")

    if existed:
        Path("out").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(tensorboard, "write", fill_the_disk)
        assert main.main(["export", "--tensorboard", "out", "--store", "store"]) == 4
    assert "--tensorboard out: cannot be written (No space left on device)" in capsys.readouterr().err
    assert Path("out").exists() == existed
    assert not list(Path().glob("out/*"))


def test_nothing_to_write_and_a_folder_with_something_in_it_are_refused(runs, capsys):
    assert main.main(["export", "--store", "store"]) == 2
    assert "say what to write: --parquet, --curves, --tensorboard" in capsys.readouterr().err
    assert main.main(["export", "--mlflow", "store", "--store", "store"]) == 2
    assert "--mlflow store: is not empty" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["parquet", "curves", "tensorboard"])
def test_a_store_that_holds_nothing_is_refused_since_its_name_may_be_a_mistake(option, tmp_path, capsys):
    out = tmp_path / "out"
    assert main.main(["export", f"--{option}", str(out), "--store", str(tmp_path / "stoer")]) == 4
    assert "stoer: holds no sweep and no record yet" in capsys.readouterr().err
    assert not out.exists()


def test_one_place_for_two_outputs_is_refused_before_anything_is_written(runs, capsys):
    assert main.main(["export", "--parquet", "runs.pq", "--curves", "./runs.pq", "--store", "store"]) == 2
    assert "runs.pq is to be written twice" in capsys.readouterr().err
    assert main.main(["export", "--mlflow", "out", "--tensorboard", "out", "--store", "store"]) == 2
    assert "out is to be written twice" in capsys.readouterr().err
    assert not {"runs.pq", "out"} & {path.name for path in Path().iterdir()}


def test_a_folder_in_whose_place_mlflow_would_write_another_file_is_refused(runs, capsys):
    assert main.main(["export", "--mlflow", "what?", "--store", "store"]) == 2
    assert "a folder with a ? in its name" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["store"]


def test_a_long_row_is_cut_to_what_a_file_system_takes():
    assert len(file_name("é" * 300).encode()) == LONGEST_FILE_NAME


@pytest.mark.parametrize(
    ("text", "name"), [("adamp lr=0.1", "adamp lr=0.1"), ("mine:TASK", "mine_TASK"), ("../..", "_.."), ("", "_")]
)
def test_what_is_no_name_of_a_folder_is_replaced(text, name):
    assert file_name(text) in (name, name.strip(" ."))
