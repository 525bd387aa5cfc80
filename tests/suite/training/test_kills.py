"""One benchmark of every kind, killed at odd updates by three signals, ends as if it had never been killed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from optathlon import tasks
from optathlon.tasks.data.dataset import build
from tests.suite.kills import OPTIMIZERS, SIGNALS, SMALL
from tests.suite.sweeps import HERE, environment


@pytest.mark.slow
@pytest.mark.parametrize("task", SMALL)
def test_killed_and_continued_is_uninterrupted(task, tmp_path):
    """Final weights, scores and curve, bit for bit, with 0, 1 and 2 data workers, for sgd, adamw and adamp, in
    a Latin square with the signals."""
    for name in tasks.task(task).datasets:
        build(tasks.dataset(name), tmp_path, "miniature")
    done = subprocess.run(
        [sys.executable, HERE / "kills.py", task, tmp_path],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == len(OPTIMIZERS) * len(SIGNALS)
    assert all(line.endswith(": the same") for line in done.stdout.splitlines())
