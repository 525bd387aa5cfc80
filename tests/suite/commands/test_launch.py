"""What `launch` and `cancel` start and stop, and what they refuse before anything is written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess

import pytest

from tests.suite.commands.in_process import run_here
from tests.suite.sweeps import SWEEP, command, document, environment, optathlon, wait_until_in_a_run, write
from tests.waiting import wait_for, wait_for_line


def test_a_bad_sweep_writes_nothing(tmp_path):
    write(tmp_path, SWEEP.replace("fixed.lr = 1e-2", 'fixed.lr = "x"'))
    before = sorted(tmp_path.rglob("*"))
    done = optathlon(tmp_path, "launch", "sweep.toml")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert [p for p in sorted(tmp_path.rglob("*")) if "__pycache__" not in str(p)] == before


def test_missing_data_stops_a_launch_before_anything_is_written(tmp_path):
    write(tmp_path, SWEEP.replace("toy:TASK", "speech-commands"))
    done = run_here(tmp_path, "launch", "sweep.toml")
    assert done.returncode == 4
    assert "speech-commands: no prepared data" in done.stderr
    assert not (tmp_path / "store").exists()


def test_launching_a_finished_sweep_again_does_nothing(launched):
    before = {p: p.stat().st_mtime_ns for p in (launched / "store").rglob("*")}
    done = document(optathlon(launched, "launch", "sweep.toml", "--json"))
    assert (done["missing"], done["started"]) == (0, [])
    assert {p: p.stat().st_mtime_ns for p in (launched / "store").rglob("*")} == before


@pytest.mark.slow
def test_adding_a_seed_runs_only_what_is_new(launched, tmp_path):
    shutil.copytree(launched, tmp_path / "copy")
    records = set((tmp_path / "copy" / "store" / "records").rglob("*.json"))
    write(tmp_path / "copy", SWEEP.replace("[0, 1]", "[0, 1, 2]"))
    done = document(optathlon(tmp_path / "copy", "launch", "sweep.toml", "--json"))
    assert done["missing"] == 2
    after = set((tmp_path / "copy" / "store" / "records").rglob("*.json"))
    assert len(after - records) == 2


@pytest.mark.slow
def test_a_diverged_run_ranks_last_and_a_failing_one_stops_no_other(tmp_path):
    text = SWEEP.replace('name = "adamw"', 'name = "adamw"\nlabel = "exploding"\nprotocol.settings.explode_at = 3')
    text += '\n[[optimizer]]\nname = "adam"\nlabel = "crashing"\nprotocol.settings.crash = true\n'
    write(tmp_path, text)
    done = optathlon(tmp_path, "launch", "sweep.toml")
    assert done.returncode == 1
    assert "2 failed: ZeroDivisionError: the toy was told to crash" in done.stderr
    (seen,) = document(optathlon(tmp_path, "status", "--json"))["sweeps"]
    assert {k: v for k, v in seen["counts"].items() if v} == {"finished": 2, "diverged": 2, "failed": 2}
    assert optathlon(tmp_path, "status", "--check").returncode == 3
    assert optathlon(tmp_path, "leaderboard", "--strict").returncode == 3
    board = document(optathlon(tmp_path, "leaderboard", "toys", "--format", "json"))
    text = json.dumps(board)
    assert "diverged" in text
    lines = [
        line.split()[0].rstrip("¹²³⁴⁵⁶⁷⁸⁹")
        for line in optathlon(tmp_path, "leaderboard", "toys").stdout.splitlines()
        if line[:1].isalpha()
    ]
    assert lines.index("sgd") < lines.index("exploding")


@pytest.mark.slow
def test_ctrl_c_leaves_the_launcher_and_harms_nothing(tmp_path, hold):
    write(tmp_path)
    told = tmp_path / "told.txt"
    with told.open("w") as stderr:
        launcher = subprocess.Popen(
            command("launch", "sweep.toml"),
            cwd=tmp_path, env=environment(), stderr=stderr, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
        )  # fmt: skip
    wait_until_in_a_run(tmp_path)
    wait_for_line(told, "0/4 done")  # from now on it follows the runs
    os.killpg(launcher.pid, signal.SIGINT)
    assert launcher.wait() == 130
    assert "the runs go on" in told.read_text()
    hold.unlink()
    wait_for(lambda: len(list((tmp_path / "store" / "records").rglob("*.json"))) == 4)


@pytest.mark.slow
def test_cancel_saves_the_runs_and_launch_goes_on(tmp_path, hold):
    write(tmp_path)
    assert optathlon(tmp_path, "launch", "sweep.toml", "--detach").returncode == 0
    wait_until_in_a_run(tmp_path)
    assert len(document(optathlon(tmp_path, "cancel", "toys", "--json"))["cancelled"]) == 1
    wait_for(lambda: document(optathlon(tmp_path, "status", "toys", "--json"))["sweeps"][0]["workers"] == 0)
    assert list((tmp_path / "store").rglob("checkpoint-*.pt"))
    hold.unlink()
    done = optathlon(tmp_path, "launch", "sweep.toml")
    assert done.returncode == 0, done.stderr
    (seen,) = document(optathlon(tmp_path, "status", "--json"))["sweeps"]
    assert seen["counts"]["finished"] == 4


@pytest.mark.slow
def test_two_launches_at_once_are_harmless(tmp_path):
    write(tmp_path)
    both = [
        subprocess.Popen(command("launch", "sweep.toml"), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [p.wait() for p in both] == [0, 0]
    endings = [json.loads(p.read_text())["kind"] for p in (tmp_path / "store").rglob("ended-*.json")]
    assert sorted(endings) == ["finished"] * 4


@pytest.mark.slow
def test_an_optimizer_and_a_task_from_outside_need_no_more_than_their_files(tmp_path):
    """docs/extending.md shows these."""
    (tmp_path / "mine.py").write_text(
        "import torch\n\n\n"
        "class SignDescent(torch.optim.Optimizer):\n"
        "    def __init__(self, params, lr=1e-3):\n"
        "        super().__init__(params, {'lr': lr})\n\n"
        "    @torch.no_grad()\n"
        "    def step(self):\n"
        "        for g in self.param_groups:\n"
        "            for p in (p for p in g['params'] if p.grad is not None):\n"
        "                p.sub_(g['lr'] * p.grad.sign())\n"
    )
    write(tmp_path, SWEEP.replace('name = "adamw"', 'name = "mine:SignDescent"'))
    assert optathlon(tmp_path, "launch", "sweep.toml").returncode == 0
    before = set((tmp_path / "store" / "records").rglob("*.json"))
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text().replace(".sign()", ".sign() * 0.5"))
    done = document(optathlon(tmp_path, "launch", "sweep.toml", "--json"))
    assert done["missing"] == 2, "an edited optimizer is another setting"
    assert before < set((tmp_path / "store" / "records").rglob("*.json"))


@pytest.mark.slow
def test_a_task_that_cannot_be_imported_stops_no_other(tmp_path):
    text = SWEEP.replace('"toy:TASK"', '"toy:TASK", "toy:BROKEN"')
    write(tmp_path, text)
    with (tmp_path / "toy.py").open("a") as file:
        file.write("\nimport msgspec\nBROKEN = msgspec.structs.replace(TASK, name='broken', workload='broken:Toy')\n")
    (tmp_path / "broken.py").write_text("import nowhere\n")
    done = optathlon(tmp_path, "launch", "sweep.toml")
    assert done.returncode == 1
    (seen,) = document(optathlon(tmp_path, "status", "--json"))["sweeps"]
    assert {k: v for k, v in seen["counts"].items() if v} == {"finished": 4, "failed": 4}
    assert "No module named 'nowhere'" in seen["errors"][0]["reason"]
    assert optathlon(tmp_path, "launch", "sweep.toml").returncode == 1, "what failed is not done"


def test_a_damaged_submission_or_handle_stops_nothing(launched, tmp_path):
    copy = shutil.copytree(launched, tmp_path / "copy")
    folder = copy / "store" / "sweeps" / "toys"
    (folder / "submission-0008.json").write_text('{"cluster": "elsewhere"}')
    (folder / "submission-0009.json").write_text('{"cluster": "local", "plan": 1, "folder": 3}')
    assert optathlon(copy, "status").returncode == 0
    assert optathlon(copy, "launch", "sweep.toml").returncode == 0


def test_a_sweep_without_its_data_names_all_of_it_and_one_line_that_prepares_it(tmp_path):
    done = run_here(tmp_path, "launch", "quickstart", "--data", "elsewhere")
    assert done.returncode == 4
    assert done.stderr.startswith("optathlon: quickstart: no prepared data in elsewhere (--data or $OPTATHLON_DATA ")
    assert "`optathlon data standin mnist ptb speech-commands`" in done.stderr
    assert not list(tmp_path.iterdir())
