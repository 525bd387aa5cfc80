"""optathlon plot: figures of boards, of sweeps and of toys."""

from __future__ import annotations

import msgspec
import pytest

from optathlon.results import Store
from optathlon.results.record import Curve
from tests.results.make import Sweep, setting
from tests.suite.commands.in_process import ran


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


@pytest.mark.usefixtures("short_walks")
def test_a_toy_figure_needs_no_store(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert ran(capsys, "plot", "adamp/figure-3")[0] == 0
    assert (tmp_path / "figure-3.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.usefixtures("short_walks")
def test_a_toy_figure_is_written_where_output_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert ran(capsys, "plot", "adamp/figure-3", "--output", "mine.png")[0] == 0
    assert ran(capsys, "plot", "adamp/figure-1", "--output", "mine.svg")[0] == 0
    names = {f"mine-figure-1-momentum-{momentum}.svg" for momentum in ("0.9", "0.95", "0.99")}
    assert {path.name for path in tmp_path.iterdir()} == {"mine.png", *names}
    code, _, error = ran(capsys, "plot", "adamp/figure-3", "--output", "none/mine.png")
    assert (code, error) == (2, "optathlon: --output none/mine.png: there is no folder none\n")


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


@pytest.fixture
def figure_store(tmp_path, monkeypatch):
    """The runs of a paper's figure, at smoke scale only."""
    sweep = Sweep({"sgd": [setting("sgd")]}, report=range(2))
    head = msgspec.structs.replace(sweep.plan.head, name="adamp-figure-f2-smoke")
    filled = Store(tmp_path / "store")
    names = ("model/scale_invariant_norm", "model/effective_step", "test/accuracy")
    curve = Curve(unit="epochs", points={name: [(float(t), 10.0 - t) for t in range(9)] for name in names})
    for run in sweep.plan.runs:
        filled.commit(sweep.record(run, 50.0 + run.seed, curve=curve))
    filled.put_plan(msgspec.structs.replace(sweep.plan, head=head), b"")
    monkeypatch.setenv("OPTATHLON_STORE", str(filled.root))
    monkeypatch.chdir(tmp_path)
    return filled


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
