"""The wheel holds all that a user needs, under one name, beside whatever else is called tasks, results or slurm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("suite", "tasks", "optimizers", "results", "slurm")
SWEEP = """
name = "hers"
scale = "smoke"
tasks = ["toy:TASK"]
seeds = [0, 1]
[[optimizer]]
name = "sgd"
fixed.lr = 0.1
[[optimizer]]
name = "optimizers:Mine"
fixed.lr = 0.1
"""
MINE = """
import torch

class Mine(torch.optim.SGD):
    version = "hers"

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that a copy of this tree gives."""
    folder = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns(".venv", ".git", "build", "dist", "*.egg-info", "__pycache__", "data", "store")
    top = shutil.ignore_patterns("data", "store")  # data/ is also a wing of tasks

    def ignored(path: str, names: list[str]) -> set[str]:
        return left_out(path, names) - (set() if path == str(ROOT) else top(path, names))

    shutil.copytree(ROOT, folder / "tree", symlinks=True, ignore=ignored)
    code = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=folder / "tree", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """A Python with the wheel installed, beside packages that are called as our rooms are."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(packages)
    needed = [path for path in sys.path if path.endswith("-packages")]
    (packages / "needed.pth").write_text("\n".join(needed))  # after our own, and their .pth files are not read
    for room in ROOMS:
        (packages / room).mkdir()
        (packages / room / "__init__.py").write_text("raise ImportError('somebody else\\'s')\n")
    return folder / "bin" / "python"


@pytest.fixture
def folder(tmp_path):
    """A user's folder with files of her own that are called as our rooms are."""
    for room in ROOMS:
        (tmp_path / f"{room}.py").write_text(MINE if room == "optimizers" else "raise ImportError('hers')\n")
    shutil.copy(ROOT / "tests" / "suite" / "toy.py", tmp_path)
    (tmp_path / "sweep.toml").write_text(SWEEP)
    return tmp_path


def test_the_wheel_has_one_name_and_every_file_of_the_rooms(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    tops = {name.partition("/")[0] for name in names}
    assert [top for top in tops if not top.endswith(".dist-info")] == ["optathlon"]
    tracked = subprocess.run(["git", "ls-files", *ROOMS], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode == 0:
        assert {f"optathlon/{name}" for name in tracked.stdout.split()} <= names
    assert {"optathlon/__init__.py", "optathlon/__main__.py", "optathlon/py.typed"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_version_and_licence_are_said_once_alike():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {project['version']}\n" in citation
    assert f"license: {project['license']}\n" in citation
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")


@pytest.mark.slow
def test_beside_packages_and_files_of_our_rooms_names_everything_works(python, folder):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OPTATHLON_", "PYTHON"))}

    def optathlon(*words: str) -> str:
        done = subprocess.run(
            [str(python), "-P", "-m", "optathlon", *words],
            cwd=folder,
            env={**environment, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "biased-mnist-0.990" in optathlon("list", "tasks")
    assert "quickstart" in optathlon("list", "sweeps")
    optathlon("plan", "sweep.toml")
    optathlon("run", "toy:TASK", "optimizers:Mine", "--scale", "smoke", "--seed", "5")
    optathlon("launch", "sweep.toml")
    board = optathlon("leaderboard", "hers", "--format", "csv")
    assert "optimizers:Mine" in board
    assert ",missing," not in board
