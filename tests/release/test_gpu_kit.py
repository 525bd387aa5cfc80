"""The GPU kit takes what a machine lacks and nothing else, and reports each part as it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent.parent
KIT = ROOT / "benchmarks" / "gpu_kit"


def python(*words: object, **how: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False, **how)  # type: ignore[call-overload]


def test_only_what_is_missing_is_unpacked(tmp_path):
    (wheels := tmp_path / "wheels").mkdir()
    for name, module in (("NumPy-99.0", "numpy.py"), ("not_here_at_all-1.0", "not_here.py")):
        with zipfile.ZipFile(wheels / f"{name}-py3-none-any.whl", "w") as archive:
            archive.writestr(module, "")
    done = python(KIT / "install.py", wheels, tmp_path / "target")
    assert done.stderr == "from the kit's wheels: not_here_at_all\n"
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["not_here.py"]


def test_a_folder_that_is_no_kit_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("")
    done = python(KIT / "build.py", tmp_path)
    assert done.returncode == 1
    assert "is there and is no kit" in done.stderr
    assert (tmp_path / "mine").exists()


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_without_a_gpu_it_says_so(tmp_path):
    done = python("-P", KIT / "check.py", "--output", tmp_path / "results")
    assert done.returncode == 5
    assert done.stderr == "check.py: torch sees no GPU here; --device cpu tries the kit itself\n"
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_part_is_reported_as_it_ends(tmp_path):
    words = ("--device", "cpu", "--output", tmp_path, "--only", "miniatures", "--minutes", "0.1")
    python("-P", KIT / "check.py", *words, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"})
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["card"] == "CPU"
    assert [part["name"] for part in report["parts"]] == ["miniatures"]
    assert report["parts"][0]["outcome"] in ("passed", "out of time")
    assert "| miniatures |" in (tmp_path / "report.md").read_text()
