"""One run in the foreground: what it prints, and what it refuses."""

from __future__ import annotations

from tests.miniatures import put_miniatures
from tests.suite.sweeps import optathlon, write


def test_missing_weights_stop_a_run_before_anything_is_written(tmp_path):
    put_miniatures(tmp_path / "data", "cub")
    done = optathlon(tmp_path, "run", "cub-triplet", "adamp", "--scale", "paper", "lr=1e-4")
    assert done.returncode == 4
    assert "imagenet-weights: no resnet50-0676ba61.pth" in done.stderr
    assert not (tmp_path / "store").exists()


def test_run_prints_scores_and_a_second_time_what_was_done(tmp_path):
    write(tmp_path)
    words = ("run", "toy:TASK", "sgd", "lr=0.1", "momentum=0.9", "--scale", "smoke", "--seed", "1")
    first, second = optathlon(tmp_path, *words), optathlon(tmp_path, *words)
    assert "test/accuracy" in first.stdout
    assert first.stdout == second.stdout
    assert "was done before" in second.stderr
    board = optathlon(tmp_path, "leaderboard").stdout
    assert "sgd" in board
    assert "toy:TASK" in board


def test_run_refuses_what_a_plan_refuses(tmp_path):
    write(tmp_path)
    done = optathlon(tmp_path, "run", "toy:TASK", "lbfgs", "protocol.precision=fp16", "--scale", "smoke")
    assert done.returncode == 2
    assert "lbfgs cannot run toy:TASK" in done.stderr
