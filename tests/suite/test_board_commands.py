"""compare, power, ledger and export, on a store whose truth is known."""

from __future__ import annotations

import csv
import io
import json
import random

import msgspec
import pyarrow.parquet as pq
import pytest

from results import Store, render
from suite import main
from tests.results.make import Sweep, setting


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Two tasks with three rows; adamp is far better on the first, adam everywhere as good as sgd."""
    sweep = Sweep(
        {name: [setting(name, lr=0.1)] for name in ("sgd", "adam", "adamp")},
        tasks=("ptb-awd-lstm", "mnist"),
        report=range(4),
        baseline="sgd",
        scale="paper",
    )
    chance = random.Random(0)
    far = {("adamp", "mnist"): 50.0}
    found = Store(tmp_path / "store")
    for record in sweep.records(lambda r: 50 + far.get((r.row, r.column), 0.0) + chance.gauss(0, 1)):
        perplexity = msgspec.structs.replace(record.scores[0], name="test/perplexity", unit="", higher_is_better=False)
        found.commit(msgspec.structs.replace(record, scores=[*record.scores, perplexity]))
    found.put_plan(sweep.plan, b"")
    monkeypatch.setenv("OPTATHLON_STORE", str(found.root))
    monkeypatch.chdir(tmp_path)
    return found


def ran(capsys, *words):
    """Exit code, stdout and stderr of a command."""
    code = main._run(words[0], words[1:])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_compare_tells_each_task_and_all_of_them(store, capsys):
    code, text, _ = ran(capsys, "compare", "adamp", "sgd")
    assert code == 0
    assert "sweep: adamp less sgd" in text
    assert "adamp better" in text
    assert "not separable" in text
    assert "over tasks, Wilcoxon in units: p = " in text
    assert "with fewer than 6 common seeds" in text
    code, text, _ = ran(capsys, "compare", "adamp", "sgd", "sweep", "--json")
    (found,) = json.loads(text)["comparisons"]
    assert [task["verdict"] for task in found["tasks"]] == ["not separable", "a"]
    assert found["tasks"][1]["welch"]["p"] < 1e-4


def test_a_row_that_is_not_there_is_a_users_mistake(store, capsys):
    code, _, error = ran(capsys, "compare", "adampp", "sgd")
    assert (code, "did you mean adamp?" in error) == (2, True)


def test_power_says_how_many_seeds_would_decide(store, capsys):
    code, text, _ = ran(capsys, "power")
    assert code == 0
    assert "against sgd, with 80% power" in text
    assert "decided" in text
    assert "more seed" in text
    needs = json.loads(ran(capsys, "power", "sweep", "--json")[1])["sweeps"]["sweep"]
    assert {(n["row"], n["task"]): n["more"] for n in needs}["adamp", "mnist"] == 0
    assert len(needs) == 4


def test_power_without_anything_to_plan_fails_and_says_so(tmp_path, capsys):
    empty = Store(tmp_path / "empty")
    empty.put_plan(Sweep({"sgd": [setting("sgd")]}, baseline="sgd").plan, b"")
    code, text, _ = ran(capsys, "power", "--store", str(empty.root))
    assert (code, "nothing to plan" in text) == (1, True)


def test_the_ledger_puts_the_papers_numbers_beside_ours(store, capsys):
    code, text, _ = ran(capsys, "ledger")
    assert code == 0
    assert "71.56" in text
    assert "AdaRem Table 3" in text
    # The runs are of a protocol of their own, and so are no reproduction whatever they came to.
    assert "protocol differs" in text
    assert "the paper's" in text
    document = json.loads(ran(capsys, "ledger", "--json")[1])
    assert document["counts"]["protocol differs"] == 2
    assert {e["row"] for e in document["entries"]} == {"sgd", "adam"}
    assert document["counts"]["not run"] == 259


def test_the_ledger_can_be_narrowed_and_widened(store, capsys):
    document = json.loads(ran(capsys, "ledger", "--all", "--task", "cub-*", "--json")[1])
    assert {e["published"]["task"] for e in document["entries"]} == {"cub-triplet", "cub-proxy-anchor"}
    assert document["counts"] == {
        "reproduced": 0, "within noise": 0, "not reproduced": 0, "protocol differs": 0, "not run": 4
    }  # fmt: skip


def test_export_writes_every_run(store, tmp_path, capsys):
    code, out, error = ran(capsys, "export", "--parquet", "runs.parquet")
    assert (code, out) == (0, "")
    assert "24 runs" in error
    assert pq.read_table(tmp_path / "runs.parquet").num_rows == 24
    code, _, error = ran(capsys, "export", "--parquet", "nowhere/runs.parquet")
    assert (code, "there is no folder nowhere" in error) == (2, True)


def test_a_board_read_back_from_the_store_has_its_verdicts(store):
    from results import leaderboard

    board = leaderboard(store.plan("sweep"), store.records())
    lines = list(csv.DictReader(io.StringIO(render(board, "csv"))))
    (line,) = [line for line in lines if (line["row"], line["task"]) == ("adamp", "mnist")]
    assert float(line["p_holm"]) < 0.05
    assert float(line["delta_lo"]) < float(line["delta"]) < float(line["delta_hi"])
