"""What `show` tells of a sweep, and how a run is recreated."""

from __future__ import annotations

import html
import json
import shlex

import pytest

from optathlon.results import Store
from optathlon.suite import main
from tests.results.make import Sweep, setting
from tests.suite.sweeps import SWEEP, document, optathlon, write


@pytest.mark.slow
def test_show_prints_a_launched_sweep_by_its_name(launched):
    shown = document(optathlon(launched, "show", "toys", "--json"))
    assert shown["kind"] == "sweep"
    assert shown["plan"] == 1
    assert optathlon(launched, "show", "toys").stdout.strip() == (launched / "sweep.toml").read_text().strip()


def test_show_prints_a_sweep_file_of_windows_without_its_mark(tmp_path, capsys):
    file = write(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert main.main(["show", str(file)]) == 0
    assert capsys.readouterr().out.strip() == SWEEP.strip()


def test_show_names_the_file_of_a_launched_sweep_that_is_damaged(tmp_path, capsys):
    Store(tmp_path).put_plan(Sweep({"sgd": [setting("sgd")]}).plan, b"name = \xff")
    assert main.main(["show", "sweep", "--store", str(tmp_path)]) == 4
    assert "plan-0001.toml: damaged" in capsys.readouterr().err


def test_show_run_tells_how_to_recreate_it(launched, tmp_path):
    record = next((launched / "store" / "records").rglob("*.json"))
    shown = document(optathlon(launched, "show", record.stem[:6], "--json"))
    assert shown["id"] == record.stem
    again = optathlon(launched, *shlex.split(shown["recreate"])[1:], "--store", tmp_path / "other")
    assert again.returncode == 0, again.stderr
    made = json.loads((tmp_path / "other" / "records" / record.stem[:2] / record.name).read_text())
    theirs = json.loads(record.read_text())
    assert {k: v for k, v in made.items() if k != "provenance"} == {
        k: v for k, v in theirs.items() if k != "provenance"
    }


@pytest.mark.slow
def test_the_page_has_the_command_of_each_cell(launched, tmp_path):
    page = tmp_path / "report.html"
    assert optathlon(launched, "report", "--output", str(page)).returncode == 0
    text = html.unescape(page.read_text(encoding="utf-8"))
    ids = [path.stem for path in sorted((launched / "store" / "records").rglob("*.json"))]
    commands = [document(optathlon(launched, "show", run, "--json"))["recreate"] for run in ids]
    on_page = [f"<code>{command}</code>" in text for command in commands]
    assert sum(on_page) == len(ids) / 2, "of two seeds of a cell the first has its command, the other its seed"
    assert text.count("; --seed 1 for the other") == sum(on_page)


@pytest.mark.slow
def test_the_command_that_recreates_a_run_holds_every_change_of_its_protocol(tmp_path):
    write(tmp_path)
    changes = ("protocol.schedule.kind=linear", "protocol.schedule.warmup=1.0", "protocol.tags.norm.lr_scale=0.5")
    assert optathlon(tmp_path, "run", "toy:TASK", "sgd", *changes, "--scale", "smoke").returncode == 0
    (record,) = (tmp_path / "store/records").rglob("*.json")
    again = shlex.split(document(optathlon(tmp_path, "show", record.stem, "--json"))["recreate"])
    done = optathlon(tmp_path, *again[1:])
    assert f"run {record.stem} was done before" in done.stderr, again


@pytest.mark.slow
def test_a_run_is_shown_where_its_task_is_not_installed_or_no_command_makes_it(tmp_path):
    write(tmp_path, SWEEP.replace('name = "sgd"', 'name = "sgd"\nprotocol.length = 2').replace("[0, 1]", "[0]"))
    assert optathlon(tmp_path, "launch", "sweep.toml").returncode == 0
    reasons = {}
    for record in (tmp_path / "store/records").rglob("*.json"):
        for folder in (tmp_path, tmp_path / "store"):
            done = optathlon(folder, "show", record.stem, "--store", tmp_path / "store")
            assert f"id: {record.stem}" in done.stdout
            name = json.loads(record.read_text())["setting"]["optimizer"]
            reasons[name, folder.name == "store"] = done.stderr
    assert "a sweep alone can give an optimizer a protocol of its own" in reasons["sgd", False]
    assert "protocol.length = 2" in reasons["sgd", False]
    assert reasons["adamw", False] == ""
    assert reasons["adamw", True].startswith("no command recreates it here: toy:TASK: No module named 'toy'")
