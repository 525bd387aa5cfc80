"""Every Python block of docs/extending.md and docs/leaderboards.md that uses the public face runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from msgspec.structs import replace

from optathlon import tasks
from optathlon.results import Store
from optathlon.tasks.conformance import checks
from tests.results.make import Sweep, record, setting

DOCS = Path(__file__).resolve().parent.parent / "docs"


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def test_the_task_of_extending_passes_the_kit(tmp_path, monkeypatch):
    (text,) = [block for block in blocks("extending.md") if block.startswith("# points.py")]
    (tmp_path / "points.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "points", raising=False)
    task = tasks.task("points:TASK")
    card = checks.check(task, "smoke", task.protocol("smoke"), tmp_path)
    assert card.passed, card.findings


def test_the_frames_of_leaderboards_are_there(tmp_path, monkeypatch):
    sweep = Sweep({"sgd": [setting("sgd", lr=0.1)]})
    store = Store(tmp_path / "store")
    store.put_plan(replace(sweep.plan, head=replace(sweep.plan.head, name="quickstart")), b"")
    store.commit(record(0.5, of_problem=sweep.problems["mnist"], of_setting=setting("sgd", lr=0.1), seed=10))
    monkeypatch.chdir(tmp_path)
    (text,) = [block for block in blocks("leaderboards.md") if "optathlon.read" in block]
    names: dict = {}
    exec(text, names)
    assert names["means"].to_dict() == {("mnist", "sgd"): 0.5}
    assert names["losses"].value.tolist() == [2.0, 1.0]
