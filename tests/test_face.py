"""What `import optathlon` offers, and what it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import optathlon

HERE = Path(__file__).resolve().parent.parent
LIGHT = ["Task", "Protocol", "Metric", "Select", "Schedule", "Cosine", "OptimizerSpec", "Hyperparameter", "TaskError"]
LIGHT += ["DataError", "OptimizerError", "StoreError", "Dataset", "Source", "Results", "read", "__version__"]


def test_every_name_is_there_and_listed():
    for name in optathlon.__all__:
        assert getattr(optathlon, name) is not None
    assert set(optathlon.__all__) <= set(dir(optathlon))
    assert isinstance(optathlon.__version__, str)


def test_names_are_those_of_the_rooms():
    from optathlon.optimizers.rules.adamp import AdamP
    from optathlon.tasks.task import Task

    assert optathlon.AdamP is AdamP
    assert optathlon.Task is Task


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'optathlon' has no attribute 'AdamPP'"):
        _ = optathlon.AdamPP  # type: ignore[attr-defined]


def test_descriptions_and_results_import_nothing_heavy():
    names = "\n".join(f"optathlon.{name}" for name in LIGHT)
    code = f"import sys, optathlon\n{names}\nprint([m for m in ('torch', 'pandas', 'numpy') if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_type_checkers_see_what_there_is():
    (seen,) = [n for n in ast.parse((HERE / "optathlon/__init__.py").read_text()).body if isinstance(n, ast.If)]
    imported = {alias.name for node in seen.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == set(optathlon.__all__) - {"__version__"}
