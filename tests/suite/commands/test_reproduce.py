"""A run of an optimizer that was edited since is run again with the source that was kept, and compared."""

from __future__ import annotations

import json
import sys

import msgspec
import pytest

from optathlon import DataError
from optathlon.results import Store
from optathlon.suite.commands import run as run_command
from optathlon.suite.commands.reproduce import compared
from tests.results.make import record
from tests.suite.commands.in_process import ran
from tests.suite.sweeps import optathlon, write
from tests.suite.training.test_loop import run_of

import toy  # isort: skip  (test_loop finds it)

MINE = """\
import torch

import halving


class SignDescent(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for g in self.param_groups:
            for p in (p for p in g["params"] if p.grad is not None):
                p.sub_(g["lr"] * halving.FACTOR * p.grad.sign())
"""


def test_records_are_compared_by_all_but_their_provenance():
    then = record(0.5, provenance={"versions": {"torch": "2.0"}, "machine": {"host": "a", "threads": 1}})
    same = record(0.5, provenance={"versions": {"torch": "2.1"}, "machine": {"host": "b", "threads": 1}})
    found = compared(then, same)
    assert (found["same"], found["fields"]) == (True, [])
    assert found["surroundings"] == {"versions.torch": ["2.0", "2.1"]}
    assert found["digests"]["record"]["recorded"] == found["digests"]["record"]["here"]
    other = compared(then, record(0.25))
    assert (other["same"], other["fields"]) == (False, ["scores"])
    assert other["scores"]["test/accuracy"] == [0.5, 0.25]
    assert all(each["recorded"] != each["here"] for each in other["digests"].values())


UNREADY = msgspec.structs.replace(toy.TASK, version=7, ready=f"{__name__}:not_ready")


def not_ready(protocol, data):
    raise DataError("its weights are not here")


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Gives a function that keeps a record of a run of the toy with another problem; returns the id."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(run_command, "train", lambda *_: pytest.fail("it was trained"))

    def keep(run_id=None, **problem):
        run = run_of()
        run = msgspec.structs.replace(run, problem=msgspec.structs.replace(run.problem, **problem))
        described, about = msgspec.to_builtins(run.problem), msgspec.to_builtins(run.setting)
        made = record(0.5, of_problem=described, of_setting=about, seed=run.seed, digests=run.digests)
        made = msgspec.structs.replace(made, id=run_id or run.id)
        Store(tmp_path / "store").commit(made)
        return made

    return keep


@pytest.mark.parametrize(
    ("problem", "words", "code", "why"),
    [
        ({"data": {"mnist": "standin-1"}}, (), 4, "data set mnist in data is edition official, planned was standin-1"),
        ({"version": "another"}, (), 4, "cannot be reproduced here: task toy:TASK is version"),
        ({"task": f"{__name__}:UNREADY", "version": UNREADY.version}, (), 4, "its weights are not here"),
        ({"run_id": "0" * 16}, (), 4, "its record says it is run"),
        ({}, ("--processes", "0"), 2, "--processes 0: must be 1 or more"),
        ({}, ("--processes", "7"), 2, "cannot be shared by 7 processes"),
        ({}, ("--output", "store"), 2, "holds run"),
    ],
)
def test_what_cannot_be_run_again_here_is_not_begun(recorded, capsys, problem, words, code, why):
    made = recorded(**problem)
    ended, _, err = ran(capsys, "reproduce", made.id, *words)
    assert (ended, why in err, "Traceback" in err) == (code, True, False), err


def test_a_record_of_another_version_of_the_suite_is_not_begun(recorded, tmp_path, capsys):
    made = recorded()
    Store(tmp_path / "store").forget(made.id)
    Store(tmp_path / "store").commit(
        msgspec.structs.replace(made, problem={**made.problem, "protocol": {"length": "x"}})
    )
    ended, _, err = ran(capsys, "reproduce", made.id)
    assert (ended, "is not one that this version of Optathlon knows" in err) == (4, True), err


def test_a_run_that_is_stopped_again_is_compared_with_nothing(recorded, monkeypatch, capsys):
    monkeypatch.setattr(run_command, "train", lambda *_: 75)
    code, text, _ = ran(capsys, "reproduce", recorded().id)
    assert (code, text) == (75, "")


@pytest.mark.parametrize(
    ("value", "updates", "code", "verdict"),
    [
        (0.5, 100, 0, "reproduced: the same to the last bit"),
        (0.25, 100, 1, "not the same: scores differ; what is not as it was stands above"),
        (0.5, 99, 1, "not the same: updates differ, but not its scores; what"),
    ],
)
def test_the_exit_code_is_the_verdict(recorded, monkeypatch, capsys, value, updates, code, verdict):
    made = recorded()
    scores = [msgspec.structs.replace(score, value=value) for score in made.scores]

    def trained(args, run, fresh, place):
        provenance = {"versions": {"torch": "0"}}
        fresh.commit(msgspec.structs.replace(made, scores=scores, updates=updates, provenance=provenance))
        return 0

    monkeypatch.setattr(run_command, "train", trained)
    ended, text, _ = ran(capsys, "reproduce", made.id)
    assert (ended, verdict in text) == (code, True)
    assert "versions.torch" in text
    assert "attempt" not in text


@pytest.mark.slow
def test_an_edited_optimizer_has_no_command_but_its_runs_are_reproduced(tmp_path):
    write(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "halving.py").write_text("FACTOR = 0.5\n")
    assert optathlon(tmp_path, "run", "toy:TASK", "mine:SignDescent", "lr=.01", "--scale", "smoke").returncode == 0
    (path,) = (tmp_path / "store" / "records").rglob("*.json")
    run = path.stem
    shown = json.loads(optathlon(tmp_path, "show", run, "--json").stdout)
    assert shown["recreate"] == "optathlon run toy:TASK mine:SignDescent lr=0.01 --scale smoke --seed 0"
    assert {where["file"] for where in shown["provenance"]["sources"].values()} == {"toy.py", "mine.py", "halving.py"}

    (tmp_path / "halving.py").write_text("FACTOR = 0.25\n")  # its version does not tell
    shown = json.loads(optathlon(tmp_path, "show", run, "--json").stdout)
    assert "recreate" not in shown
    assert shown["not_recreated"].startswith("halving.py: not as when the run was made")
    (tmp_path / "mine.py").write_text(MINE.replace("sub_", "add_"))
    done = optathlon(tmp_path, "show", run)
    assert "mine:SignDescent is version" in done.stderr
    assert f"optathlon reproduce {run}" in done.stderr
    assert "recreate" not in done.stdout

    done = optathlon(tmp_path, "reproduce", run[:6], "--output", "again", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["run"], found["same"], found["fields"]) == (run, True, [])
    again = json.loads((tmp_path / "again" / "records" / run[:2] / path.name).read_text())
    assert {**again, "provenance": 0} == {**json.loads(path.read_text()), "provenance": 0}

    done = optathlon(tmp_path, "reproduce", run, "--output", "again")
    assert (done.returncode, f"holds run {run} already" in done.stderr) == (2, True)
    for source in (tmp_path / "store" / "sources").iterdir():
        source.unlink()
    done = optathlon(tmp_path, "reproduce", run)
    assert done.returncode == 4
    assert "is not there; fetch it from the store" in done.stderr
