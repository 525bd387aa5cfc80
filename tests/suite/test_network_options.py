"""How networks are laid out and carried out is chosen for speed: no id depends on it, and a record says what was."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from optathlon import tasks
from optathlon.results import Store
from optathlon.suite.errors import Preempted
from optathlon.suite.identity import Problem, Run, Setting, optimizer_of
from optathlon.suite.main import main
from optathlon.suite.network_options import NetworkOptions
from optathlon.suite.training.checkpoint import Checkpoints
from optathlon.suite.training.loop import train
from optathlon.suite.training.surroundings import Surroundings
from optathlon.suite.working.execute import build
from tests.miniatures import put_miniatures

TASK = "imagenet-resnet18"
FEW = {"classes": 2, "training_photos": 16, "evaluation_photos": 2, "train_loss_photos": 1, "width": 0.1, "crop": 32}
CHANGES = {"length": 1, "unit": "epochs", "batch": 16, "settings": FEW}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, "imagenet")
    return root


def carry_out(data: Path, store: Path, capsys, *options: str) -> dict:
    settings = [f"protocol.settings.{name}={value}" for name, value in FEW.items()]
    words = [
        "run",
        TASK,
        "adamw",
        "lr=1e-3",
        "protocol.length=1",
        "protocol.unit=epochs",
        "protocol.batch=16",
        *settings,
    ]
    shared = ["--scale", "smoke", "--device", "cpu", "--data", str(data), "--store", str(store), "--json"]
    assert main([*words, *shared, *options]) == 0
    id = json.loads(capsys.readouterr().out)["record"]["id"]
    record = Store(store).record(id)
    assert record is not None
    scores = {score.name: score.value for score in record.scores}
    return {"id": id, "networks": record.provenance["networks"], "scores": scores}


def test_a_record_says_how_networks_were_laid_out_and_no_id_does(data, tmp_path, capsys) -> None:
    """Channels last by itself: with it a CPU is faster too. The results differ by rounding."""
    auto = carry_out(data, tmp_path / "auto", capsys)
    other = carry_out(data, tmp_path / "other", capsys, "--memory-format", "contiguous")
    assert auto["networks"] == {"compile": False, "memory_format": "channels-last"}
    assert other["networks"] == {"compile": False, "memory_format": "contiguous"}
    assert auto["id"] == other["id"]
    assert other["scores"]["test/loss"] == pytest.approx(auto["scores"]["test/loss"], rel=1e-3)


def test_compiling_is_opted_into_and_recorded(data, tmp_path, capsys, monkeypatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: asked.append(type(self).__name__))
    assert carry_out(data, tmp_path / "plain", capsys)["networks"]["compile"] is False
    assert asked == []
    assert carry_out(data, tmp_path / "compiled", capsys, "--compile")["networks"]["compile"] is True
    assert asked == ["Sequential"]


def test_a_run_goes_on_as_it_began(data, tmp_path) -> None:
    protocol = tasks.task(TASK).protocol("smoke").override(CHANGES | {"length": 4})
    setting = Setting(optimizer="sgd", version=1, hyperparameters=optimizer_of("sgd").resolve({"lr": 0.1}))
    run = Run(problem=Problem(task=TASK, version=1, scale="smoke", data={}, protocol=protocol), setting=setting, seed=0)

    def attempt(networks: NetworkOptions, updates: int) -> torch.memory_format:
        workload, asked = build(run, data, torch.device("cpu"), 0), itertools.count(1)
        files = Checkpoints(tmp_path, run.id, lambda _: None)
        with pytest.raises(Preempted):
            train(run, workload, Surroundings(files, stop=lambda: next(asked) >= updates, networks=networks))
        return workload.memory_format

    assert attempt(NetworkOptions(memory_format="contiguous"), 1) == torch.contiguous_format
    assert attempt(NetworkOptions(), 1) == torch.contiguous_format


def test_a_launch_passes_on_what_was_asked(tmp_path, monkeypatch) -> None:
    from optathlon.suite.launching.launch import Launch, Wishes
    from optathlon.suite.planning.sweep_reader import load

    (tmp_path / "few.toml").write_text(
        f'tasks = ["{TASK}"]\nscale = "smoke"\n[[optimizer]]\nname = "sgd"\nfixed = {{lr = 0.1}}\n'
    )
    wishes = Wishes(tmp_path, networks=NetworkOptions(compile=True, memory_format="contiguous"))
    monkeypatch.setattr(tasks, "require", lambda *_: None)
    words = Launch(load(tmp_path / "few.toml"), Store(tmp_path / "store"), wishes)._words(1)
    assert words[-3:] == ("--memory-format", "contiguous", "--compile")
