"""What `clean` drops of a store."""

from __future__ import annotations

import json
import os

import pytest

from optathlon.results import Store
from tests.suite.commands.in_process import run_here
from tests.suite.stories import fail, finish, planned
from tests.suite.sweeps import SWEEP

BUILT_IN = SWEEP.replace("toy:TASK", "ptb-awd-lstm")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_clean_drops_the_jobs_of_sweeps_that_have_all_their_outcomes_and_of_no_other(store, tmp_path):
    for name, seeds in (("done", "[0, 1]"), ("failed", "[7]")):
        plan = planned(tmp_path, BUILT_IN.replace("toys", name).replace("[0, 1]", seeds), store)
        for run in plan.runs:
            finish(store, plan, run) if name == "done" else fail(store, run, "ValueError: wrong", times=3)
        store.put_submission(name, {"plan": 1, "cluster": "local", "folder": f"jobs/me/{name}", "runs": 4})
        (store.root / "jobs" / "me" / name).mkdir(parents=True)
        (store.root / "jobs" / "me" / name / "log.txt").write_text("12345")
    store.put_submission("done", {"plan": 1, "cluster": "local", "folder": "../elsewhere"})
    (tmp_path / "elsewhere").mkdir()
    assert json.loads(run_here(tmp_path, "clean", "--json").stdout)["freed_bytes"] == 5
    assert os.listdir(store.root / "jobs" / "me") == ["failed"]
    assert (tmp_path / "elsewhere").exists()
    assert run_here(tmp_path, "status", "done", "--check").returncode == 0
