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
from optathlon.results.record import Curve, Identity
from optathlon.suite import main
from optathlon.suite.identity import digest, run_id
from tests.results.make import Sweep, problem, record, setting


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
    for each in sweep.records(lambda r: 50 + far.get((r.row, r.column), 0.0) + chance.gauss(0, 1)):
        perplexity = msgspec.structs.replace(each.scores[0], name="test/perplexity", unit="", higher_is_better=False)
        found.commit(msgspec.structs.replace(each, scores=[*each.scores, perplexity]))
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


def learned(store, sweep):
    """Fill `store` with a sweep whose rows all have learning curves; later rows are better."""
    chance = random.Random(1)
    for run in sweep.plan.runs:
        end = 60 + 3 * [row.name for row in sweep.plan.head.rows].index(run.row) + chance.gauss(0, 0.3)
        points = [(float(epoch), end - 20 / epoch) for epoch in range(1, 9)]
        points[-1] = (8.0, end)
        curve = Curve(unit="epochs", points={"validation/accuracy": points, "train/loss": points})
        store.commit(sweep.record(run, end, validation=end, curve=curve))
    store.put_plan(sweep.plan, b"")
    return store


@pytest.fixture
def tuned(tmp_path, monkeypatch):
    """Two tasks, three rows tuned over two rates."""
    rows = {name: [setting(name, lr=rate) for rate in (0.01, 0.1)] for name in ("sgd", "adam", "adamp")}
    sweep = Sweep(rows, tasks=("mnist", "ptb"), tune=(0, 1), report=(10, 11, 12), baseline="sgd")
    monkeypatch.setenv("OPTATHLON_STORE", str(tmp_path / "tuned"))
    monkeypatch.chdir(tmp_path)
    return learned(Store(tmp_path / "tuned"), sweep)


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


def test_a_summary_may_be_of_one_section_with_a_target_and_a_tolerance(tuned, capsys):
    text = ran(capsys, "summary", "--section", "times", "--target", "mnist=55", "ptb=50")[1]
    assert "mnist [smoke, standin-1]: validation/accuracy of 55, in epochs" in text
    assert "IQM" not in text
    assert "≥ 1.00" in ran(capsys, "summary", "--section", "rate", "--tolerance", "5")[1]
    for words in (["--target", "mnst=55"], ["--target", "mnist"], ["--target", "mnist=high"], ["--tolerance", "-1"]):
        code, _, error = ran(capsys, "summary", *words)
        assert (code, words[0] in error) == (2, True)


@pytest.mark.parametrize("kind", ["curves", "profiles", "ranks", "budget", "rate", "differences"])
def test_each_kind_of_figure_is_written_under_its_own_name(tuned, tmp_path, capsys, kind):
    code, out, error = ran(capsys, "plot", kind)
    assert (code, out, error) == (0, "", f"written: sweep-{kind}.svg\n")
    assert (tmp_path / f"sweep-{kind}.svg").read_bytes().startswith(b"<?xml")


def test_a_sweeps_own_figure_is_a_file_for_each_curve_it_names(tuned, tmp_path, capsys):
    text = 'name = "sweep"\n[figure]\ncurves = ["train/loss", "validation/accuracy"]\n'
    (tmp_path / "mine.toml").write_text(text)
    code, out, error = ran(capsys, "plot", "mine.toml", "--output", "a.pdf")
    assert (code, out) == (0, "")
    assert error == "written: a-train-loss.pdf\nwritten: a-validation-accuracy.pdf\n"
    assert {path.name for path in tmp_path.glob("a-*.pdf")} == {"a-train-loss.pdf", "a-validation-accuracy.pdf"}


def test_a_toy_figure_needs_no_store(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert ran(capsys, "plot", "adamp/figure-3")[0] == 0
    assert (tmp_path / "figure-3.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize("words", [["curvs"], ["adamp/table-2"], ["curvs", "sweep"]])
def test_what_is_neither_a_kind_nor_a_sweep_with_a_figure_is_refused(tuned, capsys, words):
    code, _, error = ran(capsys, "plot", *words)
    assert code == 2
    assert len(error.splitlines()) == 1


def test_characters_that_no_font_has_are_told_in_one_line(tmp_path, monkeypatch, capsys):
    of = Sweep({name: [setting("sgd")] for name in ("日本語", "sgd\ufeff")}, baseline="日本語")
    monkeypatch.chdir(tmp_path)
    for made in of.records(lambda r: 50.0 + r.seed):
        Store(tmp_path / "store").commit(made)
    Store(tmp_path / "store").put_plan(of.plan, b"")
    code, _, error = ran(capsys, "plot", "curves", "--output", "x.pdf")
    assert (code, len(error.splitlines())) == (0, 2), error
    assert error.startswith("no font of matplotlib's has some characters")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["ranks", "--output", "ranks.jpg"], 2, "must end in .svg, .pdf or .png"),
        (["ranks", "--output", "nowhere/ranks.svg"], 2, "there is no folder nowhere"),
        (["ranks", "--metric", "train/loss"], 2, "--metric: belongs to curves, not to ranks"),
        (["curves", "--metric", "train/lss"], 1, "there are train/loss, validation/accuracy"),
        (["ranks", "--tasks", "ptb"], 1, "at least two common tasks"),
        (["curves", "--difference", "--optimizers", "adam"], 1, "need a baseline"),
        (["ranks", "other"], 4, "no plan of sweep 'other'"),
        (["ranks", "--highlight", "adm"], 2, "--highlight: sweep: no row shown matches 'adm'"),
    ],
)
def test_a_figure_that_cannot_be_drawn_says_why_and_writes_nothing(tuned, tmp_path, capsys, words, code, said):
    got, out, error = ran(capsys, "plot", *words)
    assert (got, out) == (code, "")
    assert said in error
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_merge_tells_what_it_did_and_fails_on_conflicts(tmp_path, capsys):
    ours = run_of("mnist", 0.5, {"machine": {"host": "here"}})
    theirs = run_of("mnist", 0.6, {"machine": {"host": "there"}})
    for name, made in (("a", ours), ("b", theirs)):
        Store(tmp_path / name).commit(made)
    words = [str(tmp_path / "a"), str(tmp_path / "b"), "--into", str(tmp_path / "all")]
    code, text, _ = ran(capsys, "merge", *words, "--dry-run")
    assert (code, "1 records would be copied" in text, (tmp_path / "all").exists()) == (3, True, False)
    code, text, _ = ran(capsys, "merge", *words)
    assert code == 3
    assert "conflict" in text
    assert "kept:     host here" in text
    assert "left out: host there" in text
    assert [r.scores[0].value for r in Store(tmp_path / "all").records()] == [0.5]
    document = json.loads(ran(capsys, "merge", *words, "--json")[1])
    assert [(s["copied"], s["same"], len(s["conflicts"])) for s in document["sources"]] == [(0, 1, 0), (0, 0, 1)]
    assert ran(capsys, "merge", str(tmp_path / "a"), "--into", str(tmp_path / "all"))[0] == 0


def run_of(task, value, provenance):
    """A record whose id is what the suite makes of its problem, setting and seed."""
    made = record(value, of_problem=problem(task), provenance=provenance)
    identity = Identity(problem=digest(made.problem), setting=digest(made.setting))
    return msgspec.structs.replace(made, digests=identity, id=run_id(identity, made.seed))


def test_merge_leaves_out_a_record_whose_id_is_not_its_own(tmp_path, capsys):
    Store(tmp_path / "a").commit(forged := msgspec.structs.replace(run_of("mnist", 0.5, {}), seed=7))
    code, _, error = ran(capsys, "merge", str(tmp_path / "a"), "--into", str(tmp_path / "all"))
    assert code == 3
    assert f"run {forged.id}: its id is not that of its problem, setting and seed" in error


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
def figure_store(tmp_path, monkeypatch):
    """The runs of a paper's figure, at smoke scale only."""
    sweep = Sweep({"sgd": [setting("sgd")]}, report=range(2))
    head = msgspec.structs.replace(sweep.plan.head, name="adamp-figure-f2-smoke")
    found = Store(tmp_path / "store")
    names = ("model/scale_invariant_norm", "model/effective_step", "test/accuracy")
    curve = Curve(unit="epochs", points={name: [(float(t), 10.0 - t) for t in range(9)] for name in names})
    for run in sweep.plan.runs:
        found.commit(sweep.record(run, 50.0 + run.seed, curve=curve))
    found.put_plan(msgspec.structs.replace(sweep.plan, head=head), b"")
    monkeypatch.setenv("OPTATHLON_STORE", str(found.root))
    monkeypatch.chdir(tmp_path)
    return found


@pytest.mark.parametrize("name", ["adamp/figure-f2", "adamp/figure-f2-smoke", "adamp-figure-f2-smoke"])
def test_a_built_in_sweep_is_found_at_the_scale_at_which_it_was_launched(figure_store, capsys, name):
    code, text, said = ran(capsys, "leaderboard", name)
    assert (code, "50.50" in text) == (0, True)
    assert ("adamp/figure-f2 was not launched at its own scale here: this is adamp-figure-f2-smoke" in said) == (
        name == "adamp/figure-f2"
    )
    assert ran(capsys, "status", name)[0] == 0


def test_of_several_scales_one_must_be_named(figure_store, capsys):
    plan = figure_store.plan("adamp-figure-f2-smoke")
    head = msgspec.structs.replace(plan.head, name="adamp-figure-f2-mini")
    figure_store.put_plan(msgspec.structs.replace(plan, head=head), b"")
    code, _, said = ran(capsys, "leaderboard", "adamp/figure-f2")
    assert code == 2
    assert "at other scales only; name one: adamp-figure-f2-mini, adamp-figure-f2-smoke" in said


def test_a_figure_of_a_sweep_is_drawn_whole_at_the_scale_at_which_it_was_launched(figure_store, capsys, tmp_path):
    assert ran(capsys, "plot", "adamp/figure-f2")[0] == 0
    names = {path.name for path in tmp_path.glob("*.svg")}
    curves = ("model-scale_invariant_norm", "model-effective_step", "test-accuracy")
    assert names == {f"adamp-figure-f2-smoke-{curve}.svg" for curve in curves}
