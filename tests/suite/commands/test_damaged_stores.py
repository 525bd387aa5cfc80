"""Damaged records and plans are named by every command that meets them, and end none."""

from __future__ import annotations

import msgspec
import pytest

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
