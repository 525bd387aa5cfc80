"""The source of what comes from outside: all of the user's own that it needs, and nothing that is installed."""

from __future__ import annotations

import importlib
import sys
import uuid

import pytest

from optathlon.results import Store, StoreError
from optathlon.suite import user_sources
from optathlon.suite.identity import Problem, Run, Setting, task_of
from optathlon.suite.user_modules import look_beside

OPTIMIZER = """\
import torch

import {helper}
from {package}.inner import RATE


class Mine(torch.optim.Optimizer):
    def __init__(self, params, lr=RATE):
        super().__init__(params, {{"lr": lr}})

    def step(self, closure=None):
        return {helper}.half(closure)
"""


@pytest.fixture
def user_files(tmp_path):
    """Names of a user's optimizer, of what it imports from beside it, and a module beside it that it does not need."""
    names = {kind: f"{kind}_{uuid.uuid4().hex[:8]}" for kind in ("mine", "helper", "package", "stranger")}
    (tmp_path / f"{names['mine']}.py").write_text(OPTIMIZER.format(**names))
    (tmp_path / f"{names['helper']}.py").write_text("import json\n\n\ndef half(x):\n    return x\n")
    (tmp_path / f"{names['stranger']}.py").write_text("X = 1\n")
    (tmp_path / names["package"]).mkdir()
    (tmp_path / names["package"] / "__init__.py").write_text("")
    (tmp_path / names["package"] / "inner.py").write_text("from .constants import RATE\n")
    (tmp_path / names["package"] / "constants.py").write_text("RATE = 0.5\n")
    look_beside(tmp_path)
    importlib.import_module(names["stranger"])
    yield names
    for module in [m for m in sys.modules if m.partition(".")[0] in names.values()]:
        del sys.modules[module]


def run_with(optimizer):
    task = task_of("ptb-awd-lstm")
    problem = Problem(task=task.name, version=1, scale="smoke", data={}, protocol=task.protocol("smoke"))
    return Run(problem=problem, setting=Setting(optimizer=optimizer, version=1, hyperparameters={}), seed=0)


def test_of_what_is_built_in_no_source_is_kept(tmp_path):
    assert user_sources.keep(Store(tmp_path / "store"), run_with("adamw")) == {}
    assert not (tmp_path / "store").exists()


def test_an_optimizer_is_kept_with_what_it_imports_from_beside_it_and_no_more(user_files):
    files = {source.file for source in user_sources.sources(run_with(f"{user_files['mine']}:Mine")).values()}
    inside = {f"{user_files['package']}/{name}.py" for name in ("__init__", "inner", "constants")}
    assert files == {f"{user_files['mine']}.py", f"{user_files['helper']}.py", *inside}


def test_what_is_kept_is_what_was_imported_whatever_is_edited_later(user_files, tmp_path):
    run = run_with(f"{user_files['mine']}:Mine")
    before = user_sources.sources(run)[user_files["mine"]].data
    (tmp_path / f"{user_files['mine']}.py").write_text("raise SystemExit\n")
    assert user_sources.sources(run)[user_files["mine"]].data == before


def test_of_an_installed_optimizer_its_own_file_is_kept_to_be_read(tmp_path):
    store = Store(tmp_path / "store")
    sources = user_sources.keep(store, run_with("torch.optim:NAdam"))["sources"]
    assert set(sources) == {"torch.optim", "torch.optim.nadam"}
    assert all(where["installed"] for where in sources.values())
    assert b"class NAdam" in store.source(sources["torch.optim.nadam"]["sha256"])
    user_sources.restore(store, sources, tmp_path / "modules")
    assert not (tmp_path / "modules").exists(), "half of a package would hide the whole"


def test_restored_sources_are_what_was_kept(user_files, tmp_path):
    store = Store(tmp_path / "store")
    kept = user_sources.keep(store, run_with(f"{user_files['mine']}:Mine"))["sources"]
    user_sources.restore(store, kept, tmp_path / "modules")
    for where in kept.values():
        assert (tmp_path / "modules" / where["file"]).read_bytes() == (tmp_path / where["file"]).read_bytes()


def test_what_changed_since_is_named(user_files, tmp_path):
    run = run_with(f"{user_files['mine']}:Mine")
    kept = user_sources.keep(Store(tmp_path / "store"), run)["sources"]
    assert user_sources.changed(run, kept) == []
    other = {module: {**where, "sha256": "0" * 64} if "helper" in module else where for module, where in kept.items()}
    assert user_sources.changed(run, other) == [f"{user_files['helper']}.py"]
    assert user_sources.changed(run, None) == []


@pytest.mark.parametrize(
    "kept",
    [
        {"mine": {"file": "../mine.py", "sha256": "0" * 64}},
        {"mine": {"file": "/tmp/mine.py", "sha256": "0" * 64}},
        {"..": {"file": "../.py", "sha256": "0" * 64}},
        {"mine": {"file": "other.py", "sha256": "0" * 64}},
        {"mine": {"file": "mine.py", "sha256": 3}},
        {"mine": "mine.py"},
        ["mine"],
        {"mine": {"file": "mine.py", "sha256": "../../x"}},
    ],
)
def test_a_record_cannot_make_files_elsewhere(tmp_path, kept):
    with pytest.raises(StoreError):
        user_sources.restore(Store(tmp_path / "store"), kept, tmp_path / "modules")
    assert list(tmp_path.rglob("*.py")) == []
