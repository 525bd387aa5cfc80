"""What `optathlon new` writes works as it is: it is checked, planned and trained by the commands that it names."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from optathlon.suite.errors import ENVIRONMENT, OK
from optathlon.suite.main import main
from tests.suite.commands.in_process import run_here
from tests.suite.sweeps import optathlon
from tests.suite.terminal import Screen


def written(folder, kind, name):
    done = optathlon(folder, "new", kind, name)
    assert done.returncode == 0, done.stderr
    return [line.strip() for line in done.stderr.splitlines()[1:]]


def carried_out(folder, line):
    for command in line.split(" && "):
        done = optathlon(folder, *command.split()[1:])
        assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_a_new_task_passes_the_kit_and_trains(tmp_path):
    check, run = written(tmp_path, "task", "my-spirals")
    assert len((tmp_path / "my_spirals.py").read_text().splitlines()) < 60
    assert "my_spirals:TASK passes" in carried_out(tmp_path, check).stdout
    assert "test/accuracy" in carried_out(tmp_path, run).stdout


@pytest.mark.slow
def test_a_new_optimizer_passes_the_kit_and_trains(tmp_path):
    check, run = written(tmp_path, "optimizer", "lookback")
    assert "lookback:Lookback passes" in carried_out(tmp_path, check).stdout
    assert "test/accuracy" in carried_out(tmp_path, run).stdout


def test_a_full_disk_leaves_no_file_that_would_be_in_the_way(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        genuine = Path.open

        def full(path, mode="r", **how):
            if mode != "x":
                return genuine(path, mode, **how)
            path.touch()
            return genuine(Path("/dev/full"), "w", **how)

        patch.setattr(Path, "open", full)
        assert main(["new", "sweep", "rates"]) == ENVIRONMENT
    assert "No space left" in capsys.readouterr().err
    assert main(["new", "sweep", "rates"]) == OK


def test_a_new_sweep_can_be_planned(tmp_path):
    plan, launch = written(tmp_path, "sweep", "rates")
    assert "rates: 10 runs, 0 done, 10 to do" in carried_out(tmp_path, plan).stderr
    assert launch == "optathlon data standin mnist && optathlon launch rates.toml"
    assert tomllib.loads((tmp_path / "rates.toml").read_text())["baseline"] == "sgd"


def test_nothing_is_written_over_and_a_name_must_be_one(tmp_path):
    (tmp_path / "points.py").write_text("mine")
    done = run_here(tmp_path, "new", "task", "points")
    assert (done.returncode, "points.py: is there already" in done.stderr) == (2, True)
    assert (tmp_path / "points.py").read_text() == "mine"
    for name, words in {
        "../x": "must begin with a letter",
        "class": "a module cannot be called class",
        "json": "a module cannot be called json",
        "NumPy": "a module cannot be called numpy",
    }.items():
        done = run_here(tmp_path, "new", "optimizer", name)
        assert (done.returncode, words in done.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["points.py"]


def test_the_words_fit_the_terminal(tmp_path):
    assert Screen(tmp_path, "new", "optimizer", "a-name-that-takes-nearly-half-of-the-line").too_long == []
