"""The GPU kit takes what a machine lacks and nothing else, and reports each part as it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_kit import check
from optathlon import tasks

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


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_its_parts_are_documented_and_take_each_family_on_the_device(device, tmp_path):
    parts = {part.name: part for part in check.parts(device, tmp_path / "data", tmp_path)}
    page = (ROOT / "docs" / "gpu-kit.md").read_text()
    assert all(f"| {name} | {part.seconds:.0f} s |" in page for name, part in parts.items() if "smoke" not in name)
    runs = [parts[f"smoke run of {task}"].command for task in check.FAMILIES]
    assert {command[command.index("--device") + 1] for command in runs} == {device}
    assert {tasks.task(task).family for task in check.FAMILIES} == {t.family for t in map(tasks.task, tasks.names())}


GOOD = [sys.executable, "-c", "print('well')"]
BAD = [sys.executable, "-c", "raise SystemExit(7)"]
ENDLESS = [sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '1000'])"]
"""Its child holds the output: who kills only the first process waits for it."""


def checked(monkeypatch, folder, *commands, minutes="9", only=()) -> int:
    """The exit code of the kit's checks, were these its parts; only the one without an end gets little time."""
    made = [
        check.Part(name, command, 0.5 if command is ENDLESS else 600.0)
        for name, command in zip(("first", "second", "third"), commands, strict=False)
    ]
    monkeypatch.setattr(check, "parts", lambda device, data, output: made)
    words = ["check.py", "--device", "cpu", "--output", str(folder), "--minutes", minutes]
    monkeypatch.setattr(sys, "argv", [*words, *(["--only", *only] if only else [])])
    return check.main()


def outcomes(folder: Path) -> list[str]:
    return [part["outcome"] for part in json.loads((folder / "report.json").read_text())["parts"]]


@pytest.mark.parametrize(
    ("commands", "code", "summary"),
    [
        ((GOOD, GOOD), 0, ["passed: 2 of 2: first, second"]),
        ((GOOD, BAD, GOOD), 1, ["failed: 1 of 3: second", "passed: 2 of 3: first, third"]),
        ((GOOD, ENDLESS, GOOD), 3, ["out of time: 1 of 3: second", "passed: 2 of 3: first, third"]),
        ((ENDLESS, BAD), 1, ["failed: 1 of 2: second", "out of time: 1 of 2: first"]),
    ],
)
def test_the_exit_code_and_the_last_lines_say_what_did_not_come_to_its_end(
    commands, code, summary, tmp_path, monkeypatch, capsys
):
    assert checked(monkeypatch, tmp_path, *commands) == code
    assert capsys.readouterr().err.splitlines()[len(commands) :] == [*summary, f"written: {tmp_path / 'report.md'}"]
    assert all(line in (tmp_path / "report.md").read_text().splitlines() for line in summary)


def test_parts_for_which_no_time_is_left_are_named_and_no_success(tmp_path, monkeypatch, capsys):
    assert checked(monkeypatch, tmp_path, GOOD, GOOD, minutes="0.01") == 3
    assert "not begun: 2 of 2: first, second" in capsys.readouterr().err.splitlines()
    assert outcomes(tmp_path) == ["not begun", "not begun"]


def test_the_parts_asked_for_are_those_that_run(tmp_path, monkeypatch, capsys):
    assert checked(monkeypatch, tmp_path, BAD, GOOD, only=["sec"]) == 0
    assert outcomes(tmp_path) == ["passed"]
    assert checked(monkeypatch, tmp_path, BAD, GOOD, only=["fourth", "fifth"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "check.py: no part's name begins with 'fourth' or 'fifth'"
