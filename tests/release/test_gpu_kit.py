"""The GPU kit takes what a machine lacks and nothing else, and reports each part as it ends."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_kit import check, goals, install, parts, report
from optathlon import tasks
from tests.waiting import wait_for, wait_for_line

ROOT = Path(__file__).resolve().parent.parent.parent
KIT = ROOT / "benchmarks" / "gpu_kit"


def python(*words: object, **how: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False, **how)  # type: ignore[call-overload]


def wheel(folder: Path, name: str, module: str) -> None:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}.whl", "w") as archive:
        archive.writestr(module, "")


def test_only_what_is_missing_is_unpacked(tmp_path):
    wheel(wheels := tmp_path / "wheels", "NumPy-99.0-py3-none-any", "numpy.py")
    wheel(wheels, "not_here_at_all-1.0-py3-none-any", "not_here.py")
    done = python(KIT / "install.py", wheels, tmp_path / "target")
    assert done.stderr == "from the kit's wheels: not_here_at_all\n"
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["not_here.py"]


def test_a_kit_for_another_python_says_so_before_anything_is_unpacked(tmp_path):
    wheel(wheels := tmp_path / "wheels", "not_here-1.0-cp27-cp27mu-manylinux1_x86_64", "not_here.py")
    wheel(wheels, "nor_here-1.0-py3-none-any", "nor_here.py")
    with pytest.raises(
        install.UnfitWheelError, match=r"not_here-1\.0-cp27.*is not for this Python, 3\.\d+; .*--python 3"
    ):
        install.unpack_missing(wheels, tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("tags", "fit"),
    [
        ("py3-none-any", True), ("py2.py3-none-any", True), (f"{install.THIS}-{install.THIS}-linux_x86_64", True),
        ("cp39-abi3-manylinux_2_28_x86_64", True), ("cp27-cp27mu-linux_x86_64", False), ("cp313-cp313t-any", False),
    ],
)  # fmt: skip
def test_a_wheel_s_name_says_for_which_python_it_is(tags, fit):
    assert install.fits(Path(f"some_name-1.0-{tags}.whl")) is fit


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
    made = {part.name: part for part in parts.parts(device, tmp_path / "data", tmp_path)}
    page = (ROOT / "docs" / "gpu-kit.md").read_text()
    slower = 1 if device == "cuda" else parts.SLOWER
    seconds = {name: f"{part.seconds / slower:.0f} s" for name, part in made.items()}
    assert all(f"| {name} | {most} |" in page for name, most in seconds.items() if " run of " not in name)
    runs = [part.command for name, part in made.items() if " run of " in name]
    assert {command[command.index("--device") + 1] for command in runs} == {device}
    assert {seconds[f"smoke run of {task}"] for task in parts.FAMILIES} == {"90 s"}
    assert {tasks.task(task).family for task in parts.FAMILIES} == {t.family for t in map(tasks.task, tasks.names())}


GOOD = [sys.executable, "-c", "print('well')"]
BAD = [sys.executable, "-c", "print('Traceback of a kernel'); raise SystemExit(7)"]
ENDLESS = [sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '1000'])"]
"""Its child holds the output: who kills only the first process waits for it."""


def checked(monkeypatch, folder, *commands, minutes="9", only=()) -> int:
    """The exit code of the kit's checks, were these its parts; only the one without an end gets little time."""
    made = [
        parts.Part(name, command, 0.5 if command is ENDLESS else 600.0)
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
    assert checked(monkeypatch, tmp_path, BAD, GOOD, only=["fourth", "fifth"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "check.py: no part's name begins with 'fourth' or 'fifth'"


def test_a_second_check_carries_out_all_parts_anew_and_keeps_what_the_first_has_seen(tmp_path, monkeypatch, capsys):
    output = tmp_path / "two words"
    leaves = [sys.executable, "-c", "from pathlib import Path as P; P('{0}').mkdir(); P('{0}/run').touch()"]
    leaves[-1] = leaves[-1].format(output / "store")
    assert checked(monkeypatch, output, leaves) == 0
    assert checked(monkeypatch, output, leaves) == 0, "the store of the first is out of its way"
    assert f"what an earlier check left in {output} is now in earlier-1/" in capsys.readouterr().err
    assert outcomes(output) == outcomes(output / "earlier-1") == ["passed"]
    assert (output / "earlier-1" / "store" / "run").exists()
    assert checked(monkeypatch, output, BAD) == 1
    assert outcomes(output / "earlier-2") == ["passed"]


def test_what_a_failed_part_said_is_in_the_report_with_its_traceback_and_whole_beside_it(tmp_path, monkeypatch):
    long = [sys.executable, "-c", "print(*range(1000), '```', 'KernelError', sep='\\n'); raise SystemExit(1)"]
    assert checked(monkeypatch, tmp_path, long, GOOD) == 1
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert "The last 300 of 1002 lines; all are in `logs/first.txt`." in lines
    assert lines[lines.index("KernelError") + 1] == "````", "a fence that the output does not hold"
    assert "702" in lines
    assert "701" not in lines
    assert len((tmp_path / "logs" / "first.txt").read_text().splitlines()) == 1002


def test_an_output_that_cannot_be_written_is_said_before_anything_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("mine")
    assert checked(monkeypatch, tmp_path / "file", GOOD) == 2
    assert "File exists" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_on_a_full_disk_the_parts_go_on_and_their_outcomes_are_told(tmp_path, monkeypatch, capsys):
    def write(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(check, "write", write)
    assert checked(monkeypatch, tmp_path, GOOD, GOOD) == 3
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(",")[0] for line in lines if line.endswith(" s")] == ["first: passed", "second: passed"]
    assert lines[-1].startswith("report.md could not be written: [Errno 28]")


@pytest.mark.parametrize("missing", ["timm", "torch"])
def test_what_the_machine_lacks_is_told_at_the_start(missing, tmp_path, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *of: None if name == missing else find(name, *of))
    code = checked(monkeypatch, tmp_path / "results", GOOD)
    told = capsys.readouterr().err.splitlines()[0]
    if missing == "torch":
        assert (code, told) == (2, f"check.py: {sys.executable} has no torch; PYTHON=/path/to/python names another")
        return
    assert (code, told) == (0, "check.py: not installed here, so that parts which need it fail: timm")
    assert "fail: timm." in (tmp_path / "results" / "report.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_stops_it_finds_the_report_of_what_was_reached_and_nothing_running(number, code, tmp_path):
    """The parts of another file take the place of its own; the second has no end."""
    (tmp_path / "stop_here.py").write_text(
        "import sys\n"
        "from benchmarks.gpu_kit import check, parts\n"
        "def mine(device, data, output):\n"
        "    for name, code in (('first', 'print(1)'), ('second', ENDLESS), ('third', 'print(3)')):\n"
        "        yield parts.Part(name, [sys.executable, '-c', code], 600.0)\n"
        'ENDLESS = \'import os, time; open(os.environ["PIDS"], "w").write(f"{os.getpid()} "); time.sleep(1000)\'\n'
        "check.parts = mine\n"
        "check.stop_by_signals()\n"
        "sys.exit(check.main())\n"
    )
    pids, told = tmp_path / "pids", tmp_path / "told.txt"
    with told.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, tmp_path / "stop_here.py", "--device", "cpu", "--output", tmp_path / "results"],
            env={**os.environ, "PIDS": str(pids), "PYTHONPATH": str(ROOT)}, stderr=stderr,
        )  # fmt: skip
        wait_for_line(told, "first: passed")
        wait_for(lambda: pids.exists() and pids.read_text().endswith(" "))
        process.send_signal(number)
        assert process.wait() == code
    assert outcomes(tmp_path / "results") == ["passed", "stopped", "not begun"]
    assert "Traceback" not in told.read_text()
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(pids.read_text()), 0)
        pytest.fail("the stopped part runs on")


ROWS = {
    parts.OPTIMIZER_STEP: [
        {"model": "resnet50", "optimizer": "AdamP fused", "over_adamw_fused": 1.4, "milliseconds": 1.0},
        {"model": "resnet50", "optimizer": "adamp AdamP", "over_adamw_fused": 9.9, "milliseconds": 7.0},
    ],
    parts.TRAINING_STEP: [{"optimizer": "adamp", "optimizer_percent": 2.0, "of_timm": 0.97, "of_torchvision": 1.0}],
    parts.TRANSFORMER_XL: [{"contender": "ours", "over_ours": 1.0}, {"contender": "reference", "over_ours": 1.31}],
}
"""What the measuring parts would have written, but for the small batch's."""


def test_each_goal_stands_beside_what_was_seen_and_says_whether_it_is_met(tmp_path):
    for name, rows in ROWS.items():
        (tmp_path / name).write_text(json.dumps(rows))
    of = {seen.goal.what: (seen.value, seen.outcome) for seen in goals.evaluate(tmp_path)}
    assert list(of.values()) == [
        (1.4, "met"), (7.0, "missed"), (2.0, "met"), (None, "not measured"), (0.97, "missed"), (1.0, "met"),
        (1.31, "met"),
    ]  # fmt: skip
    head = {"card": "H200", "device": "cuda", "torch": "2.11", "date": "today", "missing": []}
    report.write(tmp_path, head, [report.Result("optimizer step", "passed", 1.0, "fast")])
    page = (tmp_path / "report.md").read_text()
    assert "| AdamP's fused step, of the time of torch's fused AdamW, ResNet-50 | at most 1.5 × | 1.4 × | met |" in page
    assert "| AdamP's part of a training step of ResNet-50, batch 16 | at most 15 % |  | not measured |" in page
    assert [goal["outcome"] for goal in json.loads((tmp_path / "report.json").read_text())["goals"]].count("met") == 4


@pytest.mark.parametrize("content", ["", "[", "[]", '[{"model": "resnet50", "optimizer": "AdamP plain"}]'])
def test_a_part_that_has_not_come_to_a_number_leaves_its_goal_unmeasured(content, tmp_path):
    (tmp_path / parts.OPTIMIZER_STEP).write_text(content)
    assert {seen.outcome for seen in goals.evaluate(tmp_path)} == {"not measured"}
