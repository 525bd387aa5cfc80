"""The command line as a user meets it: help, lists, mistakes, and what commands have in common."""

from __future__ import annotations

import csv
import errno
import io
import json
import subprocess
import sys

import pytest

from optathlon.suite import main
from tests.suite.commands.in_process import run_here
from tests.suite.sweeps import command, document, environment, optathlon, write


@pytest.mark.parametrize(
    "words", [["--help"], ["launch", "--help"], ["list", "tasks"], ["list", "optimizers"], ["show", "adamp"]]
)
def test_help_and_lists_import_no_heavy_package(words, tmp_path):
    code = (
        "import sys; from optathlon.suite.main import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'numpy', 'submitit', 'pandas', 'scipy', 'rich'} & sys.modules.keys();"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_help_lists_every_command(tmp_path):
    done = run_here(tmp_path, "--help")
    for name in ("list", "show", "plan", "launch", "status", "cancel", "run", "leaderboard", "data", "doctor"):
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["lunch"], 2, "did you mean launch?"),
        ([], 2, ""),
        (["launch", "nowhere.toml"], 2, "nowhere.toml: no such sweep file"),
        (["launch", "quickstar"], 2, "did you mean quickstart?"),
        (["show", "adampp"], 2, "did you mean adamp?"),
        (["run", "ptb-awd-lstm", "adamw", "lr"], 2, "'lr': must be KEY=VALUE"),
        (["run", "ptb-awd-lstm", "adamw", "protocol.lenght=3"], 2, "did you mean length?"),
        (["run", "ptb-awd-lstm", "adamw", "--seed", str(2**63)], 2, "must be a whole number from 0 to 2^63 - 1"),
        (["run", "ptb-awd-lstm", "adamw", "protocol.tags.norm=1"], 2, "must name an option of the tag too"),
        (["run", "ptb-awd-lstm", "adamw", "--scale", "smoke"], 4, "optathlon data miniature ptb"),
        (["status", "nothing"], 4, "no plan of sweep 'nothing'"),
        (["cancel", "nothing"], 4, "no plan of sweep 'nothing'"),
        (["data", "prepare", "mnist"], 4, "mnist: "),
        (["data", "check", "mnits"], 2, "did you mean mnist?"),
        (["forget", "../../etc"], 4, "is not a run id"),
    ],
)
def test_a_users_mistake_is_one_line_and_an_exit_code(words, code, expected, tmp_path):
    done = run_here(tmp_path, *words)
    assert done.returncode == code, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "a mistake wrote something"


@pytest.mark.parametrize(
    "words", [["plan", "sweep.toml"], ["launch", "sweep.toml"], ["status"], ["leaderboard"], ["clean"]]
)
@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_a_store_that_is_no_folder_is_named(tmp_path, words, kind):
    write(tmp_path)
    if kind == "file":
        (tmp_path / "store").write_text("notes")
    else:
        (tmp_path / "store").symlink_to("nowhere")
    before = sorted(path.name for path in tmp_path.iterdir())
    done = run_here(tmp_path, *words)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"optathlon: store: is a {kind}; a store is a folder, made where there is none\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_empty_variable_means_the_default_and_not_this_folder(tmp_path):
    done = optathlon(tmp_path, "status", OPTATHLON_STORE="")
    assert done.stderr == "no sweep was launched in store\n"


@pytest.mark.slow
def test_a_command_whose_output_is_closed_does_its_work(tmp_path):
    write(tmp_path)
    shell = '"$@" >&- 2>&-'
    words = ["sh", "-c", shell, "sh", *command("run", "toy:TASK", "sgd", "--scale", "smoke")]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert len(list(tmp_path.glob("store/records/*/*.json"))) == 1


def test_what_the_system_refuses_is_told_with_its_file_and_what_to_do():
    error = PermissionError(errno.EACCES, "Permission denied", "store/sweeps")
    assert (
        main.error_message(error)
        == "store/sweeps: Permission denied; give another folder, or have whoever owns it share it"
    )
    assert main.error_message(OSError(errno.ENOSPC, "No space left on device")).startswith(
        "No space left on device; make room"
    )


def test_status_counts_what_is_there(launched):
    (seen,) = document(optathlon(launched, "status", "--json"))["sweeps"]
    assert seen["sweep"] == "toys"
    assert seen["counts"] == {"waiting": 0, "running": 0, "stopped": 0, "failed": 0, "finished": 4, "diverged": 0}
    assert optathlon(launched, "status", "--check").returncode == 0


def test_the_leaderboard_comes_in_every_format(launched):
    rows = list(csv.DictReader(io.StringIO(run_here(launched, "leaderboard", "toys", "--format", "csv").stdout)))
    assert [row["row"] for row in rows] == ["sgd", "adamw"]
    assert {row["n"] for row in rows} == {"2"}
    assert "±" in run_here(launched, "leaderboard", "toys").stdout
    assert "| sgd |" in run_here(launched, "leaderboard", "toys", "--format", "md").stdout
    assert run_here(launched, "leaderboard", "toys", "--format", "wide").stdout.count("\n") == 3
    assert document(run_here(launched, "leaderboard", "toys", "--format", "json"))
    assert run_here(launched, "leaderboard", "toys", "--strict").returncode == 0


def test_what_is_not_known_is_said_in_a_line(tmp_path):
    done = run_here(tmp_path, "show", "qqqqqq")
    assert done.returncode == 2
    assert done.stderr == "optathlon: nothing is called 'qqqqqq' (see `optathlon list`)\n"


def test_doctor_finds_this_machine_sound(tmp_path):
    done = optathlon(tmp_path, "doctor", "--json")
    assert done.returncode == 0, done.stdout
    levels = {f["what"]: f["level"] for f in json.loads(done.stdout)["findings"]}
    assert levels["store"] == levels["torch"] == "ok"
    assert levels["mnist"] == "check"


def test_list_alone_says_what_can_be_listed(tmp_path):
    done = run_here(tmp_path, "list")
    assert done.returncode == 0
    assert [line.split()[2] for line in done.stdout.splitlines()[2:]] == ["tasks", "optimizers", "sweeps", "datasets"]
    assert document(run_here(tmp_path, "list", "--json"))["kinds"]["datasets"] >= 10


def test_a_name_that_is_part_of_others_suggests_them(tmp_path):
    done = run_here(tmp_path, "run", "ptb", "adamw")
    assert (done.returncode, "did you mean ptb-awd-lstm or ptb-awd-lstm-merity?" in done.stderr) == (2, True)
