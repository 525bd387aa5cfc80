"""Every Python block of the pages runs, and every command in them is one that the command line takes."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from msgspec.structs import replace

import optathlon
from optathlon import tasks
from optathlon.results import Store
from optathlon.suite.commands.shared.described_run import nest
from optathlon.suite.identity import optimizer_of
from optathlon.suite.main import COMMANDS
from optathlon.tasks.conformance import checks
from tests.results.make import Sweep, record, setting

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TASK = "biased-mnist-0.990"


def blocks(page, language=r"\w*"):
    """The fenced blocks of a page in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def without_blocks(page):
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def python_blocks():
    """Blocks by page, those of a page together as they build on one another."""
    return {page.name: text for page in PAGES if (text := "\n".join(blocks(page, "python")))}


@pytest.fixture
def quickstart(tmp_path, monkeypatch):
    """A folder whose store holds one finished run of a sweep called quickstart."""
    sweep = Sweep({"sgd": [setting("sgd", lr=0.1)]}, tasks=(TASK,))
    store = Store(tmp_path / "store")
    store.put_plan(replace(sweep.plan, head=replace(sweep.plan.head, name="quickstart")), b"")
    store.commit(record(0.5, of_problem=sweep.problems[TASK], of_setting=setting("sgd", lr=0.1), seed=10))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", python_blocks())
def test_the_python_of_a_page_runs_and_takes_from_us_what_optathlon_itself_offers(page, quickstart):
    text = python_blocks()[page]
    exec(compile(text, page, "exec"), {"__name__": "docs"})
    for module, names in re.findall(r"^from (optathlon[\w.]*) import (.+?)(?:  #.*)?$", text, re.MULTILINE):
        assert module == "optathlon"
        assert set(names.split(", ")) <= set(optathlon.__all__)


def test_the_frames_of_leaderboards_hold_what_the_page_says(quickstart):
    names: dict = {}
    exec(python_blocks()["leaderboards.md"], names)
    assert names["means"].to_dict() == {(TASK, "sgd"): 0.5}
    assert names["losses"].value.tolist() == [2.0, 1.0]


def test_the_task_of_extending_passes_the_kit(tmp_path, monkeypatch):
    (text,) = [block for block in blocks(ROOT / "docs" / "extending.md", "python") if block.startswith("# points.py")]
    (tmp_path / "points.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "points", raising=False)
    task = tasks.task("points:TASK")
    card = checks.check(task, "smoke", task.protocol("smoke"), tmp_path)
    assert card.passed, card.findings


def commands():
    """(page, words) of each command in a block or between backquotes, without what is no more than a name of one."""
    for page in PAGES:
        lines = [line for block in blocks(page) for line in block.splitlines()]
        quoted = re.findall(r"`(optathlon [^`]+)`", without_blocks(page))
        for line in [*lines, *quoted]:
            found = re.search(r"(?:^|&& |-m )optathlon (.+)", line.removeprefix("$ "))
            if found:
                yield page.name, shlex.split(re.split(r" [>|] ", found[1])[0], comments=True)


COMMAND_LINES = sorted({(page, tuple(words)) for page, words in commands()})


def takes(words):
    """The command's arguments; SystemExit if it does not take them."""
    module = importlib.import_module(f"optathlon.suite.commands.{words[0]}")
    parser = argparse.ArgumentParser(prog=words[0])
    module.configure(parser)
    parser.add_argument("--debug", action="store_true")
    return parser.parse_intermixed_args(words[1:])


@pytest.mark.parametrize(("page", "words"), COMMAND_LINES, ids=lambda value: value if type(value) is str else "")
def test_a_command_of_a_page_is_one(page, words):
    known = {name for group in COMMANDS.values() for name in group}
    if words[0] in ("--help", "--version", "COMMAND"):
        return
    assert words[0] in known
    if "…" in words or len(words) == 1:
        return
    args = takes(words)
    if words[0] == "run" and not args.task.isupper() and ":" not in args.task:  # TASK stands for any
        resolves(args)


def resolves(args):
    """The task, its protocol and the optimizer's settings are there as named."""
    task = tasks.task(args.task)
    values, changes = {}, {}
    for word in args.values:
        key, _, text = word.partition("=")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        if key.startswith("protocol."):
            nest(changes, key.split(".")[1:], value)
        else:
            values[key] = value
    tasks.registry.check(task, task.protocol(args.scale).override(changes))
    if not args.optimizer.isupper():
        optimizer_of(args.optimizer).resolve(values)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_toml_of_a_page_is_toml_and_its_make_targets_are_there(page):
    for block in blocks(page, "toml"):
        tomllib.loads(block)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", page.read_text(), re.MULTILINE)) <= {
        pair for target in targets for pair in ((target, ""), ("", target))
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", without_blocks(page)):
        assert (page.parent / target).exists(), target
