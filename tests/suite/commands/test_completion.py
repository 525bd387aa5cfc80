"""What a shell offers behind `optathlon`, in a real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from optathlon.suite.commands import completion
from optathlon.suite.main import main
from tests.suite.commands.in_process import run_here
from tests.suite.sweeps import environment

ASK = """
source ./script
COMP_WORDS=($LINE)
[[ $LINE == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_shtab_optathlon 2> /dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """A folder with bash's script in it, and a sweep file."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "script").write_text(run_here(folder, "completion", "bash").stdout)
    (folder / "mine.toml").write_text("")
    return folder


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("line", "offered", "not_offered"),
    [
        ("optathlon lea", {"leaderboard"}, {"launch"}),
        ("optathlon launch ", {"mine.toml", "quickstart", "adamp/table-2"}, {"script"}),
        ("optathlon launch quick", {"quickstart"}, {"mine.toml"}),
        ("optathlon launch --sc", {"--scale"}, {"--store"}),
        ("optathlon launch --scale ", {"paper", "mini", "smoke"}, set()),
        ("optathlon run ptb", {"ptb-awd-lstm"}, {"mtat"}),
        ("optathlon run ptb-awd-lstm adam", {"adamp", "adamw"}, {"sgd"}),
        ("optathlon list ", {"tasks", "optimizers", "sweeps", "datasets"}, set()),
    ],
)
def test_bash_offers(line, offered, not_offered, script):
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK],
        cwd=script,
        env=environment(LINE=line),
        capture_output=True,
        text=True,
        check=False,
    )
    words = set(done.stdout.split())
    assert offered <= words, done.stderr
    assert not not_offered & words


@pytest.mark.skipif(shutil.which("zsh") is None and not os.environ.get("OPTATHLON_CI"), reason="needs zsh")
def test_zsh_takes_its_script(tmp_path):
    (tmp_path / "_optathlon").write_text(run_here(tmp_path, "completion", "zsh").stdout)
    assert subprocess.run(["zsh", "-n", "_optathlon"], cwd=tmp_path, check=False).returncode == 0


def test_without_shtab_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 4
    assert capsys.readouterr().err.strip() == (
        "optathlon: completion: needs shtab, which is not installed: pip install 'optathlon[completion]'"
    )


def test_each_shell_has_a_script(capsys):
    for shell in completion.SHELLS:
        assert main(["completion", shell]) == 0
        assert "optathlon" in capsys.readouterr().out
