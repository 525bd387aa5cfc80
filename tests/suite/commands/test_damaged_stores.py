"""Damaged records and plans are named by every command that meets them, and end none."""

from __future__ import annotations

import msgspec
import pytest

from optathlon.results import this_process
from optathlon.results.record import Ended
from tests import odd_files
from tests.suite.commands.in_process import ran


def spoil(store, row, **changes):
    """Replaces a record of `row` by one that was changed."""
    found = next(r for r in store.records(curves=True) if r.setting["optimizer"] == row)
    path = store.root / "records" / found.id[:2] / f"{found.id}.json"
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(found, **changes)))
    return found.id


LOOKS = [
    ("leaderboard", "--format", "csv"), ("leaderboard", "--json"), ("summary",), ("summary", "--json"), ("power",),
    ("compare", "adam", "sgd"), ("ledger", "--json"), ("export", "--parquet", "runs.parquet"), ("report",), ("status",),
    ("plot", "ranks", "--output", "ranks.pdf"), ("plot", "differences", "--output", "differences.pdf"),
]  # fmt: skip


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_a_record_without_its_metric_marks_its_cell_and_ends_no_command(store, capsys, words):
    spoiled = spoil(store, "adamp", scores=[])
    code, text, err = ran(capsys, *words)
    assert code == 0, err
    if words[:1] == ("leaderboard",):
        assert spoiled in text


@pytest.mark.parametrize("words", [("report",), ("plot", "ranks", "--output", "x.pdf"), ("leaderboard",), ("power",)])
def test_where_the_only_plan_is_damaged_that_is_said(store, capsys, words):
    (store.root / "sweeps" / "sweep" / "plan-0001.jsonl").write_text("{")
    code, _, err = ran(capsys, *words)
    assert code in (0, 1, 4)
    assert "left out: sweep sweep: " in err
    assert "Traceback" not in err


def test_a_damaged_plan_hides_no_other(store, capsys):
    folder = store.root / "sweeps" / "torn"
    folder.mkdir()
    (folder / "plan-0001.jsonl").write_text('{"name": "torn"')
    for words in (("leaderboard",), ("summary",), ("power",), ("ledger",), ("compare", "adam", "sgd")):
        code, text, err = ran(capsys, *words)
        assert code == 0, err
        assert text
        assert "left out: sweep torn: " in err
    code, _, err = ran(capsys, "leaderboard", "torn")
    assert code == 4
    assert "plan-0001.jsonl" in err


@pytest.fixture
def worked(store):
    """The store with all kinds of files: an attempt of one run, which has no record yet, a submission, an index."""
    run = sorted(store.finished())[0]
    (store.root / "records" / run[:2] / f"{run}.json").unlink()
    attempt = store.claim(run, this_process())
    store.log(attempt).write_text("")
    store.event_log(attempt).append({"update": 1})
    store.end(Ended(run=run, number=1, kind="failed"))
    store.put_submission("sweep", {"plan": 1})
    store.compact()
    return run


@pytest.mark.parametrize("kind", ["pipe", "folder"])
@pytest.mark.parametrize(
    "file",
    ["records/*/*.json", "index/part-*", "sweeps/*/plan-*.jsonl", "sweeps/*/submission-*.json", "identity",
     "work/*/*/attempt-*.json", "work/*/*/ended-*.json", "work/*/*/log-*.txt", "work/*/*/events-*.jsonl"],
)  # fmt: skip
def test_what_is_no_file_ends_no_command_without_its_name_and_is_waited_for_by_none(store, worked, capsys, file, kind):
    path = sorted(store.root.glob(file))[0]
    with odd_files.in_place_of(path, kind):
        said = {words[0]: ran(capsys, *words) for words in (("status",), ("leaderboard",), ("logs", worked))}
    for code, _, err in said.values():
        assert "Traceback" not in err
        assert code in (0, 1, 2) or (code == 4 and str(path) in err)
    if file.startswith("records"):
        assert f"left out: {path}: is not a file" in said["leaderboard"][2]


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_plan_that_is_no_file_hides_no_other(store, capsys, kind):
    (store.root / "sweeps" / "odd").mkdir()
    with odd_files.in_place_of(store.root / "sweeps" / "odd" / "plan-0001.jsonl", kind):
        for words in (("leaderboard",), ("summary",), ("power",)):
            code, text, err = ran(capsys, *words)
            assert (code, bool(text)) == (0, True), err
            assert "left out: sweep odd: " in err
