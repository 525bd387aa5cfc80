"""leaderboard, summary, compare, power, ledger, plot, merge and export, on stores whose truth is known."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import resource
import shutil

import msgspec
import pyarrow.parquet as pq
import pytest

from optathlon.results import Store, leaderboard, render
from tests.results.make import Sweep, record, setting
from tests.suite.commands.in_process import ran


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
    # What is not judged has no interval that would look like a verdict.
    head, _, *rows = text.splitlines()
    end = head.index("95 % interval") + len("95 % interval")
    shown = [row for row in rows if "protocol differs" in row[:200] and "AdaRem" in row]
    assert {row[:end].split()[-1] for row in shown} == {"-"}
    assert "the paper's" in text
    document = json.loads(ran(capsys, "ledger", "--json")[1])
    assert document["counts"]["protocol differs"] == 2
    assert {e["row"] for e in document["entries"]} == {"sgd", "adam"}
    assert document["counts"]["not run"] == 271


def test_the_ledger_can_be_narrowed_and_widened(store, capsys):
    document = json.loads(ran(capsys, "ledger", "--all", "--task", "cub-*", "--json")[1])
    assert {e["published"]["task"] for e in document["entries"]} == {"cub-triplet", "cub-proxyanchor"}
    assert document["counts"] == {
        "reproduced": 0, "differs": 0, "could not tell": 0, "protocol differs": 0, "not run": 4
    }  # fmt: skip


def test_export_writes_every_run(store, tmp_path, capsys):
    code, out, error = ran(capsys, "export", "--parquet", "runs.parquet")
    assert (code, out) == (0, "")
    assert "24 runs" in error
    rows = pq.read_table(tmp_path / "runs.parquet").to_pylist()
    assert len(rows) == 24
    (adamp,) = [r for r in rows if (r["row"], r["task"], r["seed"]) == ("adamp", "mnist", 0)]
    assert (adamp["sweep"], adamp["role"], adamp["hyperparameter.lr"]) == ("sweep", "report", 0.1)
    assert adamp["score"] == adamp["score.test/accuracy"] == pytest.approx(100, abs=5)
    assert (adamp["metric"], adamp["unit"], adamp["higher_is_better"]) == ("test/accuracy", "%", True)
    code, _, error = ran(capsys, "export", "--parquet", "nowhere/runs.parquet")
    assert (code, "there is no folder nowhere" in error) == (2, True)


def test_export_writes_the_curves_as_a_second_file(store, tmp_path, capsys):
    store.commit(record(0.5, of_setting=setting("lion", lr=0.3), seed=77))  # which no sweep plans
    code, _, error = ran(capsys, "export", "--parquet", "runs.parquet", "--curves", "curves.parquet")
    assert (code, "25 runs" in error) == (0, True)
    runs, points = (pq.read_table(tmp_path / name).to_pylist() for name in ("runs.parquet", "curves.parquet"))
    (alone,) = [row for row in runs if row["sweep"] is None]
    assert (alone["optimizer"], alone["score"], alone["role"]) == ("lion", 0.5, None)
    assert {point["run"] for point in points} == {row["run"] for row in runs}
    assert set(points[0]) == {"run", "name", "time", "value"}
    ran(capsys, "export", "sweep", "--parquet", "runs.parquet", "--curves", "curves.parquet")
    assert alone["run"] not in {point["run"] for point in pq.read_table(tmp_path / "curves.parquet").to_pylist()}
    code, _, error = ran(capsys, "export", "--parquet", "runs.parquet", "--curves", "nowhere/c.parquet")
    assert (code, "there is no folder nowhere" in error) == (2, True)


def test_a_board_read_back_from_the_store_has_its_verdicts(store):
    board = leaderboard(store.plan("sweep"), store.records())
    lines = list(csv.DictReader(io.StringIO(render(board, "csv"))))
    (line,) = [line for line in lines if (line["row"], line["task"]) == ("adamp", "mnist")]
    assert float(line["p_holm"]) < 0.05
    assert float(line["delta_lo"]) < float(line["delta"]) < float(line["delta_hi"])


def test_a_part_of_a_board_has_the_same_cells(store, capsys):
    whole = json.loads(ran(capsys, "leaderboard", "--json")[1])
    code, text, error = ran(capsys, "leaderboard", "sweep", "--json", "--tasks", "mn*", "--optimizers", "adam", "sgd")
    part = json.loads(text)
    assert (code, error) == (0, "")
    assert ([row["name"] for row in part["rows"]], [c["name"] for c in part["columns"]]) == (["sgd", "adam"], ["mnist"])
    assert part["rows"][1]["cells"][0]["delta"] == whole["rows"][1]["cells"][1]["delta"]
    assert part["rows"][1]["cells"][0]["p_holm"] == whole["rows"][1]["cells"][1]["p_holm"]
    assert part["family"] == whole["family"]
    assert "no differences are shown" in ran(capsys, "leaderboard", "--optimizers", "adam*")[2]


@pytest.mark.parametrize("option", ["--tasks", "--optimizers", "--on"])
def test_a_pattern_that_fits_nothing_is_a_users_mistake(store, capsys, option):
    code, out, error = ran(capsys, "leaderboard", option, "adampp")
    assert (code, out) == (2, "")
    assert f"{option}: sweep: no " in error


def test_what_aggregates_are_taken_over_is_said(store, capsys):
    for run in store.plan("sweep").runs:
        if (run.row, run.column) == ("adamp", "mnist"):
            store.forget(run.id)
    text = ran(capsys, "leaderboard")[1]
    assert "below the line, how many the others have" in text
    assert text.splitlines()[6].split()[-1] == "1/2"
    text = ran(capsys, "leaderboard", "--on", "common")[1]
    assert "mean rank over 1 of 2 tasks (ptb-awd-lstm), among rows with all their seeds in each\n" in text
    assert json.loads(ran(capsys, "leaderboard", "--on", "common", "--json")[1])["on"] == ["ptb-awd-lstm"]
    text = ran(capsys, "leaderboard", "--on", "mnist")[1]
    assert "mean rank over 1 of 2 tasks (mnist)" in text
    assert "mean_rank over mnist" in ran(capsys, "leaderboard", "--on", "mnist", "--format", "wide")[1]


def test_what_cannot_be_read_is_named_and_averaged_nowhere(store, capsys):
    ids = [run.id for run in store.plan("sweep").runs if (run.row, run.column) == ("adam", "mnist")]
    paths = [store.root / "records" / run[:2] / f"{run}.json" for run in ids]
    values = json.loads(paths[0].read_bytes())
    paths[0].write_bytes(paths[0].read_bytes()[:99])
    paths[1].write_text(json.dumps(values | {"id": ids[1], "schema": 99}))
    paths[2].write_text(json.dumps(values))
    (paths[3].parent / f"{ids[3]} (1).json").write_bytes(paths[3].read_bytes())
    code, text, error = ran(capsys, "leaderboard", "--json")
    cell = json.loads(text)["rows"][1]["cells"][1]
    assert (code, cell["status"], cell["n"], cell["n_planned"], cell["runs"]) == (0, "incomplete", 1, 4, [ids[3]])
    for path, said in zip(paths[:3], ("truncated", "schema 99 is newer", "under another name"), strict=True):
        (line,) = [line for line in error.splitlines() if str(path) in line]
        assert line.startswith("left out: ")
        assert said in line
    assert f"{ids[3]} (1).json: is not a record's file" in error


def test_a_deleted_index_changes_no_word_of_any_board(tuned, capsys):
    before = [ran(capsys, *words)[1] for words in (["leaderboard"], ["summary"], ["power"])]
    tuned.compact()
    assert [ran(capsys, *words)[1] for words in (["leaderboard"], ["summary"], ["power"])] == before
    shutil.rmtree(tuned.root / "index")
    assert [ran(capsys, *words)[1] for words in (["leaderboard"], ["summary"], ["power"])] == before


@pytest.mark.parametrize("more", ["optimizer", "task", "seed"])
def test_adding_an_optimizer_task_or_seed_changes_no_other_cell(tmp_path, more):
    def board(rows, tasks, seeds):
        sweep = Sweep({name: [setting(name)] for name in rows}, tasks=tasks, report=seeds, baseline="sgd")
        records = sweep.records(lambda r: random.Random(f"{r.row} {r.column} {r.seed}").gauss(50, 1))
        kept = [r for r in records if r.seed != 3 or r.setting["optimizer"] == "adamp"]  # only adamp has the new seed
        plan = msgspec.structs.replace(sweep.plan, runs=[r for r in sweep.plan.runs if r.seed != 3 or r.row == "adamp"])
        return leaderboard(plan, kept)

    rows, tasks, seeds = ["sgd", "adam", "adamp"], ["mnist", "ptb"], [0, 1, 2]
    before = board(rows, tasks, seeds)
    after = board(
        rows + ["lion"] * (more == "optimizer"), tasks + ["cars"] * (more == "task"), seeds + [3] * (more == "seed")
    )
    fields = ("mean", "std", "n", "min", "max", "delta", "p_welch", "status", "values", "notes")
    for row in before.rows:
        for column, cell in zip(before.columns, row.cells, strict=True):
            now = after.cell(row.name, column.name)
            changed = [field for field in fields if getattr(cell, field) != getattr(now, field)]
            assert bool(changed) == (more == "seed" and row.name == "adamp")


def test_the_summary_has_every_section(tuned, capsys):
    code, text, error = ran(capsys, "summary")
    assert (code, error) == (0, "")
    for said in (
        "sweep, over 2 tasks", "Friedman's test", "Nemenyi", "IQM", "Wilcoxon", "differences to sgd", "Dunnett",
        "time to target", "AlgoPerf score", "speed-up", "tuning budget", "tunability", "good rates", "decades",
    ):  # fmt: skip
        assert said in text
    document = json.loads(ran(capsys, "summary", "--json")[1])["sweeps"]["sweep"]
    assert set(document) == {"overall", "differences", "times", "budget", "rate"}
    assert document["overall"]["rows"][0]["name"] == "adamp"
    assert [len(line["best"]) for line in document["budget"]] == [2] * 6


def test_where_the_baseline_lacks_a_task_nothing_is_won_lost_or_tied(tmp_path, capsys):
    rows = {name: [setting(name)] for name in ("sgd", "adam")}
    sweep = Sweep(rows, tasks=("mnist", "ptb"), baseline="sgd")
    store = Store(tmp_path / "lacking")
    store.put_plan(sweep.plan, b"")
    for outcome in sweep.records(lambda run: None if (run.row, run.column) == ("sgd", "ptb") else 50.0 + run.seed):
        store.commit(outcome)
    text = ran(capsys, "summary", "--section", "overall", "--store", str(store.root))[1]
    (line,) = [line for line in text.splitlines() if line.startswith("adam")]
    assert line.split()[2:] == ["-"] * (len(line.split()) - 2)
    assert "left out, as they lack a task: sgd" in text


def test_a_summary_may_be_of_one_section_with_a_target_and_a_tolerance(tuned, capsys):
    text = ran(capsys, "summary", "--section", "times", "--target", "mnist=55", "ptb=50")[1]
    assert "mnist [smoke, standin-1]: validation/accuracy of 55, in epochs" in text
    assert "IQM" not in text
    assert "≥ 1.00" in ran(capsys, "summary", "--section", "rate", "--tolerance", "5")[1]
    for words in (["--target", "mnst=55"], ["--target", "mnist"], ["--target", "mnist=high"], ["--tolerance", "-1"]):
        code, _, error = ran(capsys, "summary", *words)
        assert (code, words[0] in error) == (2, True)


@pytest.mark.parametrize(
    "words",
    [["leaderboard", "--output"], ["report", "--output"], ["plot", "ranks", "--output"], ["export", "--parquet"]],
)
def test_an_output_that_is_a_folder_or_in_none_is_a_users_mistake(store, capsys, words):
    code, _, error = ran(capsys, *words, "nowhere/x.svg")
    assert (code, "there is no folder nowhere" in error) == (2, True)
    (store.root.parent / "x.svg").mkdir()
    code, _, error = ran(capsys, *words, "x.svg")
    assert (code, "x.svg: is a folder" in error) == (2, True)


def test_an_output_that_is_no_file_is_written_to_and_not_replaced(store, capsys, tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert ran(capsys, "leaderboard", "--output", str(pipe))[0] == 0
    assert pipe.is_fifo()
    assert b"sgd" in os.read(reader, 1 << 16)
    os.close(reader)


@pytest.mark.parametrize(
    "words",
    [
        ["leaderboard", "--output", "x.csv", "--format", "csv"],
        ["report", "--output", "x.html"],
        ["plot", "ranks", "--output", "x.svg"],
        ["export", "--parquet", "x.parquet"],
    ],
)
def test_a_disk_that_fills_up_leaves_the_output_of_before(store, capsys, tmp_path, words):
    path = next(tmp_path / word for word in words if word.startswith("x."))
    path.write_text("of before")
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, allowed[1]))
    try:
        code, _, error = ran(capsys, *words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert (code, f"{path.name}: cannot be written" in error) == (4, True)
    assert path.read_text() == "of before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["store", path.name]


@pytest.mark.parametrize("command", ["leaderboard", "power", "summary", "compare a b"])
def test_an_empty_store_is_named(tmp_path, capsys, command):
    code, out, error = ran(capsys, *command.split(), "--store", str(tmp_path / "none"))
    assert (code != 0, out) == (True, "")
    assert str(tmp_path / "none") in error


@pytest.mark.parametrize("words", [["--target", "mnist=nan"], ["--target", "mnist=inf"], ["--tolerance", "inf"]])
def test_what_is_to_be_reached_is_a_number(store, capsys, words):
    code, _, error = ran(capsys, "summary", *words)
    assert (code, words[0] in error) == (2, True)
