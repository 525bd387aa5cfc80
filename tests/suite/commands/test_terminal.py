"""On a terminal of 80 by 24 no line wraps, whatever a command has to say."""

from __future__ import annotations

import pytest

from optathlon.results import Store
from tests.suite.sweeps import SWEEP, optathlon, write
from tests.suite.terminal import Screen

LONG = SWEEP.replace('["toy:TASK"]', '["toy:TASK", "toy:LINEAR"]').replace(
    'name = "adamw"', 'name = "adamw"\nlabel = "adamw-with-a-name-that-takes-half-of-the-line"'
)
LOOKS = {
    "status": "8/8 done",
    "status toys": "finished",
    "leaderboard": "mean rank",
    "leaderboard toys": "over n = 2 seeds",
    "summary": "P(better)",
    "compare sgd adamw-with-a-name-that-takes-half-of-the-line": "P(better)",
    "power": "to decide it",
    "audit": "no fault found in 1 sweep and 8 records",
    "audit store": "what checklists ask for",
    "plan sweep.toml": "8 runs, 8 done",
}
ANYWHERE = {
    "list tasks": "biased-mnist-0.990 · rebias · unbiased % ↑",
    "list optimizers": "adamp",
    "list datasets": "LDC User Agreement",
    "list sweeps": "quickstart",
    "show ptb-awd-lstm": "settings.emsize",
    "show adamp": "betas: 0.9, 0.999",
    "show ptb": "simple-examples.tgz",
    "doctor": "not here: ",
    "show nothing-that-there-is": "nothing is called",
    "run ptb-awd-lstm adamw --scale smoke": "$OPTATHLON_DATA",
    "--help": "optathlon COMMAND --help",
}


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("launched")
    write(folder, LONG)
    screen = Screen(folder, "launch", "sweep.toml")
    assert (screen.code, screen.too_long) == (0, [])
    assert "8/8 done" in screen.text
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("words", "shown"), LOOKS.items())
def test_a_launched_sweep_is_looked_at_without_a_line_that_wraps(launched, words, shown):
    screen = Screen(launched, *words.split())
    assert screen.code in (0, 1), screen.text
    assert screen.too_long == []
    assert shown in " ".join(screen.text.split())


@pytest.mark.slow
def test_a_run_is_shown_for_people(launched):
    record = next(iter(Store(launched / "store").records()))
    screen = Screen(launched, "show", record.id)
    assert screen.too_long == []
    assert f"id: {record.id}" in screen.text
    assert "{" not in screen.text
    assert "None" not in screen.text


@pytest.mark.slow
@pytest.mark.parametrize(("words", "shown"), ANYWHERE.items())
def test_what_is_there_is_listed_and_shown_without_a_line_that_wraps(tmp_path, words, shown):
    screen = Screen(tmp_path, *words.split())
    assert screen.too_long == []
    assert shown in " ".join(screen.text.split())


def test_what_goes_to_a_file_has_lines_of_any_length(tmp_path):
    lines = optathlon(tmp_path, "list", "tasks").stdout.splitlines()
    assert max(map(len, lines)) > 100
    assert lines[0].startswith("name ")
    narrow = optathlon(tmp_path, "list", "tasks", "ptb-*", COLUMNS="60").stdout
    assert max(map(len, narrow.splitlines())) <= 60
