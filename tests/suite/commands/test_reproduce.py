"""A run of an optimizer that was edited since is run again with the source that was kept, and compared."""

from __future__ import annotations

import json

import pytest

from optathlon.suite.commands.reproduce import compared
from tests.results.make import record
from tests.suite.sweeps import optathlon, write

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
