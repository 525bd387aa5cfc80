"""What a run wrote does nothing to the terminal that shows it, and reaches a pipe as it is."""

from __future__ import annotations

import subprocess

import pytest

from optathlon.results import Store
from tests.suite.stories import begin, planned
from tests.suite.sweeps import SWEEP, command, environment
from tests.suite.terminal import Screen

BUILT_IN = SWEEP.replace("toy:TASK", "ptb-awd-lstm")
HOSTILE = "clears \x1b[2J\x1b[H and renames \x1b]0;root\x07 the terminal, goes back\rover this, and is ü\n"


@pytest.fixture
def run(tmp_path):
    """The id of a run whose log has control characters."""
    store = Store(tmp_path / "store")
    run = planned(tmp_path, BUILT_IN, store).runs[0]
    store.log(begin(store, run)).write_text(HOSTILE)
    return run.id


def test_on_a_terminal_control_characters_of_a_log_are_spelled_out(run, tmp_path):
    shown = Screen(tmp_path, "logs", run).text
    assert r"clears \x1b[2J\x1b[H and renames \x1b]0;root\x07 the terminal, goes back" in shown
    assert "\r\nover this, and is ü\r\n" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_into_a_pipe_a_log_goes_as_it_is(run, tmp_path):
    done = subprocess.run(command("logs", run), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, check=True)
    assert HOSTILE.encode() in done.stdout
