"""Reference models on boards: shown, told apart, in no statistic, and never in the way."""

from __future__ import annotations

import csv
import io
import json

import msgspec
import pyarrow.parquet as pq
import pytest

from optathlon.results import Store, StoreError, leaderboard, leaderboard_of_records, load_results, render
from optathlon.results.analysis.over_tasks import overall
from optathlon.results.analysis.row_comparison import compare
from optathlon.results.analysis.seeds_needed import needs
from optathlon.results.analysis.tuning import budgets
from optathlon.results.page.document import html
from optathlon.results.page.report import Report
from optathlon.results.plan import Table, TableColumn, TableRow
from optathlon.results.record import Score
from optathlon.results.references import References
from optathlon.results.store.merge import merge
from optathlon.results.store.parquet import write_parquet
from optathlon.results.store.reference_files import REMEDY
from tests.results.make import Sweep, digest, setting
from tests.results.page.reading import Page

TASKS = ("mnist", "ptb")
ROWS = {name: [setting(name)] for name in ("sgd", "adam", "adamp")}
HOSTILE = "<script>&$_{x}\x1b[31m\u202e|\n=1"
FORMATS = ("table", "csv", "wide", "md", "latex", "json")


@pytest.fixture
def sweep():
    return Sweep(ROWS, tasks=TASKS, baseline="sgd")


@pytest.fixture
def store(tmp_path, sweep):
    """Records of all runs, and no references."""
    filled = Store(tmp_path / "store")
    for number, outcome in enumerate(sweep.records(lambda r: 50.0 + len(r.row) + r.seed % 3)):
        loss = Score(name="test/loss", unit="", higher_is_better=False, value=float(number))
        filled.commit(msgspec.structs.replace(outcome, scores=[*outcome.scores, loss]))
    filled.put_plan(sweep.plan, b"")
    return filled


def references(sweep, task="ptb", **models):
    models = models or {
        "unigram": {"test/accuracy": 99.0, "validation/accuracy": 1.0},
        "bigram": {"test/accuracy": 4.0},
    }
    return References(problem=digest(sweep.problems[task]), task=task, models=models)


def file_of(store, sweep, task="ptb"):
    return store.references_file(digest(sweep.problems[task]))


def board_of(store, **options):
    return load_results(store, store.plan("sweep"), **options).board


def test_a_board_has_them_in_the_columns_that_have_them_by_the_columns_own_metric(store, sweep):
    store.put_references(references(sweep))
    found = board_of(store).references
    assert [(row.name, row.values) for row in found] == [("unigram", [None, 99.0]), ("bigram", [None, 4.0])]


def test_they_change_nothing_else_on_a_board_or_of_what_is_computed_from_it(store, sweep):
    before = load_results(store, store.plan("sweep"))
    store.put_references(references(sweep))
    after = load_results(store, store.plan("sweep"))
    assert msgspec.structs.replace(after.board, references=[]) == before.board
    assert after.board != before.board
    assert overall(after.board) == overall(before.board)
    assert needs(after.board) == needs(before.board)
    assert compare(after.board, "adamp", "sgd") == compare(before.board, "adamp", "sgd")
    assert budgets(after) == budgets(before)


def test_the_table_has_them_under_a_line_of_their_own_and_says_what_they_are(store, sweep):
    store.put_references(references(sweep))
    lines = render(board_of(store)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("unigram (no optimizer)"))
    assert set(lines[at - 1]) == {"-", " "}
    assert [line.split() for line in lines[at : at + 2]] == [
        ["unigram", "(no", "optimizer)", "99.00"],
        ["bigram", "(no", "optimizer)", "4.00"],
    ]
    assert "(no optimizer) a reference model on the same data: in no rank, test or aggregate" in lines


def test_markdown_and_latex_have_them_last(store, sweep):
    store.put_references(references(sweep))
    assert "| bigram (no optimizer) |  | 4.00 |  |\n\n" in render(board_of(store), "md")
    latex = render(board_of(store), "latex")
    assert (
        "\\midrule\nunigram (no optimizer) &  & 99.00 &  \\\\\nbigram (no optimizer) &  & 4.00 &  \\\\\n\\bottomrule"
        in latex
    )


def test_programs_tell_them_apart(store, sweep):
    store.put_references(references(sweep))
    board = board_of(store)
    lines = list(csv.DictReader(io.StringIO(render(board, "csv"))))
    assert [line["row"] for line in lines if line["kind"] == "optimizer"] == [name for name in ROWS for _ in TASKS]
    theirs = [line for line in lines if line["kind"] == "reference"]
    assert [(line["task"], line["row"], line["mean"]) for line in theirs] == [
        ("ptb", "unigram", "99.0"), ("ptb", "bigram", "4.0")
    ]  # fmt: skip
    assert {line[name] for line in theirs for name in ("optimizer", "status", "n", "rank", "best", "runs", "lr")} == {
        ""
    }
    wide = list(csv.DictReader(io.StringIO(render(board, "wide"))))
    assert [(line["row"], line["kind"]) for line in wide[-2:]] == [("unigram", "reference"), ("bigram", "reference")]
    document = json.loads(render(board, "json"))
    assert [row["name"] for row in document["rows"]] == list(ROWS)
    assert document["references"][1] == {"name": "bigram", "values": [None, 4.0]}
    frame = board.to_pandas()
    assert list(frame[frame.kind == "reference"]["mean"]) == [99.0, 4.0]


def test_without_any_a_board_says_nothing_of_them(store):
    for format in ("table", "md", "latex"):
        assert "no optimizer" not in render(board_of(store), format)
    assert board_of(store).references == []


def test_a_model_without_a_score_on_any_column_is_left_out(store, sweep):
    store.put_references(references(sweep, unigram={"test/loss": 1.0}, bigram={"test/accuracy": 1.0}))
    assert [row.name for row in board_of(store).references] == ["bigram"]


def test_a_printed_table_has_them_by_its_metrics_and_a_mean_only_over_all_its_tasks(store, sweep):
    def column(label, *of, metric="test/accuracy"):
        return TableColumn(label=label, of=list(of), metric=metric, unit="%", higher_is_better=True, digits=1)

    losses = msgspec.structs.replace(column("loss", "ptb", metric="test/loss"), unit="", higher_is_better=False)
    table = Table(columns=[column("mean", *TASKS), losses], rows=[TableRow(label="Adam", row="adam")])
    head = msgspec.structs.replace(sweep.plan.head, table=table)
    plan = msgspec.structs.replace(sweep.plan, head=head)
    store.put_references(references(sweep, "ptb", a={"test/accuracy": 4.0, "test/loss": 7.0}, b={"test/accuracy": 1.0}))
    store.put_references(references(sweep, "mnist", a={"test/accuracy": 2.0}))
    found = load_results(store, plan, printed=True).board
    assert [(row.name, row.values) for row in found.references] == [("a", [3.0, 7.0])]


def test_records_without_a_plan_have_them_too(store, sweep):
    store.put_references(references(sweep))
    found = store.references(digest(p) for p in sweep.problems.values())
    board = leaderboard_of_records(store.records(), references=found)
    assert [row.name for row in board.references] == ["unigram", "bigram"]


def test_only_files_of_problems_on_the_board_are_read(store, sweep):
    other = digest("another problem")
    store.references_file(other).parent.mkdir()
    store.references_file(other).write_bytes(b"broken")
    assert board_of(store).references == []
    assert store.problems == []


def test_the_first_written_stay(store, sweep):
    assert store.put_references(references(sweep, a={"test/accuracy": 1.0}))
    assert not store.put_references(references(sweep, b={"test/accuracy": 2.0}))
    assert [row.name for row in board_of(store).references] == ["a"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: b"",
        lambda good: good[: len(good) // 2],
        lambda good: good.replace(b"99.0", b"NaN"),
        lambda good: good.replace(b"99.0", b"1e300"),
        lambda good: good.replace(b"99.0", b'"many"'),
        lambda good: good.replace(b'"task"', b'"tusk"'),
        lambda good: good.replace(b'"schema":1', b'"schema":99'),
        lambda good: good.replace(good[12:76], b"f" * 64),
        lambda good: b"[1, 2]",
        lambda good: b'{"problem": 3',
        lambda good: b"\xff\x00\x1b[31m",
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_way_out_and_the_board_shows(store, sweep, damage):
    store.put_references(references(sweep))
    path = file_of(store, sweep)
    path.write_bytes(damage(path.read_bytes()))
    board = board_of(store)
    assert board.references == []
    assert len(board.rows) == 3
    (problem,) = store.problems
    assert problem.startswith(f"{path}: ")
    assert problem.endswith(REMEDY)
    assert problem.isprintable()


def test_a_folder_in_place_of_the_file_is_named_too(store, sweep):
    file_of(store, sweep).mkdir(parents=True)
    assert board_of(store).references == []
    assert "is not a file" in store.problems[0]


def test_why_there_are_none_is_told_with_the_way_out(store, sweep):
    store.put_references(msgspec.structs.replace(references(sweep), models={}, error=f"ValueError: {HOSTILE}"))
    assert board_of(store).references == []
    (problem,) = store.problems
    assert "the references of ptb could not be computed: ValueError: <script>" in problem
    assert problem.endswith(REMEDY)
    assert problem.isprintable()


def test_names_from_anywhere_are_shown_to_the_letter_and_carried_out_nowhere(store, sweep):
    store.put_references(references(sweep, **{HOSTILE: {"test/accuracy": 4.0}}))
    loaded = load_results(store, store.plan("sweep"))
    for format in FORMATS:
        assert "\x1b" not in render(loaded.board, format) or format in ("csv", "wide")
    assert "\u202e" not in render(loaded.board, "table")
    assert r"\textless{}script\textgreater{}\&\$\_\{x\}" in render(loaded.board, "latex")
    assert r"\<script>" in render(loaded.board, "md")
    page = Page(html(Report(loaded, {})))
    assert not page.wrong
    assert page.count("script") == 1


def test_the_page_has_them_at_the_foot_of_the_board_and_of_their_task(store, sweep):
    store.put_references(references(sweep))
    text = html(Report(load_results(store, store.plan("sweep")), {}))
    assert not Page(text).wrong
    feet = [part.partition("</tfoot>")[0] for part in text.split("<tfoot>")[1:]]
    assert len(feet) == 2, "the board's and ptb's"
    for foot in feet:
        assert foot.index("unigram") < foot.index("99.00") < foot.index("bigram") < foot.index("4.00")
        assert foot.count("(no optimizer)") == 2
    assert text.count("a reference model on the same data") == 1


def test_merge_carries_them_to_the_byte_and_the_first_stay(store, sweep, tmp_path):
    store.put_references(references(sweep))
    other = Store(tmp_path / "other")
    other.put_plan(sweep.plan, b"")
    other.put_references(references(sweep, late={"test/accuracy": 1.0}))
    other.put_references(msgspec.structs.replace(references(sweep, "mnist"), models={}, error="ValueError: no"))
    into = Store(tmp_path / "into")
    dry = [merged.references for merged in merge([store, other], into, lambda _: True, dry=True)]
    assert not (into.root / "references").exists()
    done = merge([store, other], into, lambda _: True)
    assert [merged.references for merged in done] == dry == [1, 1]
    assert file_of(into, sweep).read_bytes() == file_of(store, sweep).read_bytes()
    assert file_of(into, sweep, "mnist").read_bytes() == file_of(other, sweep, "mnist").read_bytes()
    assert all(merged.whole for merged in done)
    assert [merged.references for merged in merge([store, other], into, lambda _: True)] == [0, 0]


def test_merge_names_what_is_broken(store, sweep, tmp_path):
    store.put_references(references(sweep))
    file_of(store, sweep).write_bytes(b"{")
    (done,) = merge([store], Store(tmp_path / "into"), lambda _: True)
    assert str(file_of(store, sweep)) in done.problems[0]
    assert not file_of(Store(tmp_path / "into"), sweep).exists()


def test_parquet_has_them_beside_its_rows(store, sweep, tmp_path):
    known = {digest(sweep.problems["ptb"]): references(sweep)}
    write_parquet(store.records(), tmp_path / "runs.parquet", known)
    table = pq.read_table(tmp_path / "runs.parquet")
    assert table.num_rows == 18
    (models,) = json.loads(table.schema.metadata[b"optathlon.references"]).values()
    assert models["bigram"] == {"test/accuracy": 4.0}


def test_a_problem_is_a_digest_before_it_is_a_file_name(store):
    with pytest.raises(StoreError, match="is not the digest of a problem"):
        store.references_file("../../etc/passwd")
    assert store.references(["../../etc/passwd"]) == {}


def test_boards_of_pure_functions_have_none_unless_given(sweep):
    records = sweep.records(lambda r: 1.0)
    assert leaderboard(sweep.plan, records).references == []
    known = {digest(sweep.problems["mnist"]): references(sweep, "mnist")}
    assert len(leaderboard(sweep.plan, records, references=known).references) == 2
