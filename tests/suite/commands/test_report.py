"""optathlon report: which sweep, which file, and what the page is made of."""

from __future__ import annotations

import shutil
import subprocess
import sys

import msgspec
import pytest

from optathlon.results import Store, load_results
from optathlon.results.plan import Table, TableColumn, TableRow
from optathlon.suite import main
from optathlon.suite.commands.shared import chosen_boards
from optathlon.suite.errors import UsageError
from tests.results.make import record
from tests.results.page.reading import Page
from tests.results.page.synthetic import outcomes, renamed, sweep
from tests.suite.sweeps import environment

TASKS = ("ptb-awd-lstm", "mnist")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The sweep `sweep`, all done, in a folder of its own."""
    filled = Store(tmp_path / "store")
    monkeypatch.setenv("OPTATHLON_STORE", str(filled.root))
    monkeypatch.chdir(tmp_path)
    add(filled, sweep(tasks=TASKS, rows=("sgd", "adam", "adamp")))
    return filled


def add(store, of):
    for made in outcomes(of, points=10):
        perplexity = msgspec.structs.replace(made.scores[0], name="test/perplexity", unit="", higher_is_better=False)
        store.commit(msgspec.structs.replace(made, scores=[*made.scores, perplexity]))
    store.put_plan(of.plan, b"")


def report(capsys, *words):
    """Exit code, stdout and stderr."""
    code = main._run("report", words)
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_only_sweep_is_taken_and_the_page_is_a_file_here(store, tmp_path, capsys):
    assert report(capsys) == (0, "", "written: report.html\n")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not page.wrong
    assert page.count("tr", id="t1-1") == 1
    assert "optathlon report sweep" in page.text
    assert "All 72 runs are done." in page.text


def test_rows_are_highlighted_by_pattern_and_else_those_from_outside_the_package(store):
    add(store, renamed(sweep(tasks=TASKS[1:], rows=["sgd", "adamw", "mine:Own"], tune=()), "many"))
    results = load_results(store, store.plan("many"))
    assert chosen_boards.highlighted(results, None) == ["mine:Own"]
    assert chosen_boards.highlighted(results, ["adam*"]) == ["adamw"]
    with pytest.raises(UsageError, match="--highlight: many: no row shown matches 'nobody'"):
        chosen_boards.highlighted(results, ["nobody"])


def test_the_same_store_gives_the_same_bytes_with_and_without_its_index(store, tmp_path, capsys):
    report(capsys, "sweep", "--output", "once.html")
    store.compact()
    report(capsys, "--output", "again.html")
    shutil.rmtree(store.root / "index")
    report(capsys, "--output", "third.html")
    assert len({(tmp_path / f"{name}.html").read_bytes() for name in ("once", "again", "third")}) == 1


def test_of_several_sweeps_one_must_be_named(store, tmp_path, capsys):
    add(store, renamed(sweep(tasks=TASKS), "other"))
    code, _, error = report(capsys)
    assert (code, "other, sweep" in error) == (2, True)
    assert not (tmp_path / "report.html").exists()
    assert report(capsys, "other")[0] == 0
    assert "optathlon report other" in Page((tmp_path / "report.html").read_text()).text


def test_a_sweep_that_is_not_there_is_named(store, tmp_path, capsys):
    code, _, error = report(capsys, "nothing")
    assert code == 4
    assert "nothing" in error
    assert not (tmp_path / "report.html").exists()


def test_an_output_that_cannot_be_written_is_refused(store, capsys):
    code, _, error = report(capsys, "--output", "nowhere/report.html")
    assert (code, "there is no folder nowhere" in error) == (2, True)
    code, _, error = report(capsys, "--output", "store")
    assert (code, "store: is a folder" in error) == (2, True)


def test_records_without_a_sweep_are_a_page_too(tmp_path, capsys):
    found = Store(tmp_path / "records")
    found.commit(record(0.5))
    assert report(capsys, "--store", str(found.root), "--output", str(tmp_path / "page.html"))[0] == 0
    page = Page((tmp_path / "page.html").read_text())
    assert "There is no baseline" in page.text
    assert "0.50" in page.text


def test_an_empty_store_says_what_fills_it(tmp_path, capsys):
    code, _, error = report(capsys, "--store", str(tmp_path / "nothing"), "--output", str(tmp_path / "page.html"))
    assert (code, "optathlon launch" in error) == (4, True)
    assert not (tmp_path / "page.html").exists()


def test_a_part_of_a_sweep(store, tmp_path, capsys):
    assert report(capsys, "--tasks", "mnist", "--optimizers", "sgd", "adamp")[0] == 0
    page = Page((tmp_path / "report.html").read_text())
    assert page.count("section", class_="task") == 1
    assert page.count("tr", id="t1-2") == 1
    assert page.count("tr", id="t1-3") == 0
    assert "optathlon report sweep --tasks mnist --optimizers sgd adamp" in page.text


def test_a_sweeps_table_stands_below_its_board_as_it_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPTATHLON_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    of = sweep(tasks=TASKS, rows=("sgd", "adam", "adamp"))
    both = TableColumn(
        label="<Avg.>", of=list(TASKS), metric="test/accuracy", unit="%", higher_is_better=True, digits=1
    )
    rows = [TableRow(label="AdamP (ours)", row="adamp"), TableRow(label="SGD", row="sgd")]
    head = msgspec.structs.replace(of.plan.head, table=Table(columns=[both], rows=rows))
    of.plan = msgspec.structs.replace(of.plan, head=head)
    add(Store(tmp_path / "store"), of)
    code, _, error = report(capsys)
    assert code == 0, error
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not page.wrong
    assert page.count("table", id="board") == page.count("table", class_="printed") == 1
    main._run("leaderboard", ["--format", "md"])
    *_, ours, base = (line for line in capsys.readouterr().out.splitlines() if line.startswith("| "))
    for line in (ours, base):
        assert all(cell.strip("* ") in page.text for cell in line.strip("|").split("|")), line
    assert "<Avg.>" in page.text
    code, _, _ = report(capsys, "--tasks", "mnist")
    assert Page((tmp_path / "report.html").read_text(encoding="utf-8")).count("table", class_="printed") == 0


def test_published_numbers_stand_beside_ours(store, tmp_path, capsys):
    report(capsys)
    page = Page((tmp_path / "report.html").read_text())
    assert "71.56" in page.text
    assert "AdaRem Table 3" in page.text
    assert "protocol differs" in page.text


def test_a_record_that_cannot_be_read_is_named_on_the_page_and_on_stderr(store, tmp_path, capsys):
    path = next((store.root / "records").rglob("*.json"))
    path.write_bytes(path.read_bytes()[:100])
    code, _, error = report(capsys)
    assert code == 0
    assert error.count(f"{path}") == 1
    page = Page((tmp_path / "report.html").read_text())
    assert "1 file of the store left out" in page.text
    assert path.name in page.text


def test_a_page_is_replaced_whole_or_not_at_all(store, tmp_path, capsys):
    (tmp_path / "report.html").write_text("old")
    assert report(capsys)[0] == 0
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir() if "report" in p.name] == ["report.html"]


@pytest.mark.slow
def test_it_needs_neither_torch_nor_matplotlib(store, tmp_path):
    code = "import sys; from optathlon.suite.main import main; assert main(['report']) == 0; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert {"torch", "matplotlib", "pandas"}.isdisjoint(done.stdout.split())
