"""optathlon check module:TASK as a user meets it, and the same mistakes in run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.suite.sweeps import optathlon

FAULTY = Path(__file__).resolve().parents[2] / "tasks" / "faulty.py"


@pytest.fixture
def mine(tmp_path):
    shutil.copy(FAULTY, tmp_path)
    return tmp_path


def test_a_sound_task_gets_a_card_that_fits_a_terminal_and_passes(mine):
    done = optathlon(mine, "check", "faulty:TASK_Sound")
    assert done.returncode == 0, done.stderr
    assert "pass   goes on exactly from any update" in done.stdout
    assert done.stdout.rstrip().endswith("faulty:TASK_Sound passes")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not (mine / "store").exists()


def test_a_mistake_is_told_once_and_ends_with_1(mine):
    done = optathlon(mine, "check", "faulty:TASK_OtherName")
    assert (done.returncode, done.stdout.count("FAIL")) == (1, 1)
    assert "misses 'accuracy' and has 'acc' besides" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "Traceback" not in done.stdout + done.stderr


def test_the_card_is_json_too(mine):
    done = optathlon(mine, "check", "faulty:TASK_NoPlayers", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["passed"], document["card"]["scale"]) == (1, False, "smoke")
    failed = [f for f in document["card"]["findings"] if f["status"] == "fail"]
    assert [f["check"] for f in failed] == ["is built"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["faulty:ONE_METRIC"], "metrics: is one Metric, and must be a tuple"),
        (["faulty:NUMBER"], "faulty:NUMBER: is neither a torch.optim.Optimizer class nor an OptimizerSpec nor a Task"),
        (["faulty:Sound"], "faulty:Sound: is a Workload; name the Task that describes it"),
        (["nowhere:TASK"], "nowhere:TASK: No module named 'nowhere'"),
        (["faulty:TASK_Sound", "lr=1"], "lr: a task takes changes of its protocol only"),
        (["faulty:TASK_Sound", "protocol.lenght=1"], "did you mean length?"),
        (["faulty:TASK_Sound", "--scale", "paper"], "has no scale 'paper'"),
    ],
)
def test_what_is_no_task_is_one_line(words, expected, mine):
    done = optathlon(mine, "check", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("OtherName", "evaluate('validation') misses 'accuracy' and has 'acc' besides"),
        ("LeavesEvalMode", "LeavesEvalMode.evaluate('validation') leaves model (Sequential) in eval mode"),
        ("VectorLoss", "returns a tensor of shape (8,), not one number; take its .mean()"),
        ("NoPlayers", "NoPlayers: has no players; set them in its __init__"),
        ("BatchesEmpty", "batches(0, 0) yields no update, which takes 2 micro-batches of 8"),
    ],
)
def test_a_run_fails_by_the_same_words(name, expected, mine):
    done = optathlon(mine, "run", f"faulty:TASK_{name}", "sgd", "lr=0.1", "--scale", "smoke")
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    (ended,) = mine.glob("store/work/*/*/ended-*.json")
    assert json.loads(ended.read_text())["failure"] == "task"


def test_a_long_message_of_a_task_is_one_line_cut_short(mine):
    done = optathlon(mine, "run", "faulty:TASK_SaysMuch", "sgd", "lr=0.1", "--scale", "smoke")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert line.startswith("failed: RuntimeError: first line second line xxx")
    assert 400 < len(line) < 1200
    assert "xxx" not in done.stderr.replace(line, "")


def test_run_refuses_a_selection_by_an_unknown_metric(mine):
    done = optathlon(
        mine, "run", "faulty:TASK_Sound", "sgd", "lr=0.1", "--scale", "smoke", "protocol.select.metric=los"
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "protocol.select.metric: 'los' is none of its metrics (known: accuracy)" in done.stderr
