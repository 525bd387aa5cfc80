"""Figures: what they draw is what the statistics say, files are the same each time, and nothing global is touched."""

from __future__ import annotations

import functools
import itertools
import math
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from optathlon.results import Store, load_results
from optathlon.results.analysis.against_baseline import against
from optathlon.results.analysis.learning_curves import band
from optathlon.results.analysis.over_tasks import overall
from optathlon.results.analysis.time_to_target import times
from optathlon.results.analysis.tuning import budgets, rates
from optathlon.results.errors import TooLittle
from optathlon.results.plots import budget, curves, differences, profiles, ranks, rate
from optathlon.results.plots.files import rendered, write
from optathlon.results.plots.style import MOST_COLORED, RC, looks, score_label
from optathlon.results.record import Curve
from optathlon.results.sweep_results import shown_curves
from tests.results.make import Sweep, setting

RATES = (0.01, 0.1)
ROWS = ("sgd", "adam", "adamp")


def stored(root, rows=ROWS, tasks=("mnist", "ptb"), tune=(0, 1)):
    """A store in which adamp is best and all have learning curves."""
    sweep = Sweep(
        {name: [setting(name, lr=r) for r in RATES] for name in rows},
        tasks=tasks,
        tune=tune,
        report=(10, 11, 12),
        baseline="sgd",
    )
    chance, store = random.Random(0), Store(root)
    for run in sweep.plan.runs:
        lr = sweep.settings[run.setting]["hyperparameters"]["lr"]
        end = 70 + rows.index(run.row) + 5 * (lr == 0.1) + chance.gauss(0, 0.5)
        points = [(float(e), end * (1 - math.exp(-e))) for e in range(1, 9)]
        curve = Curve(
            unit="epochs", points={"validation/accuracy": points, "train/loss": [(t, 100 - v) for t, v in points]}
        )
        store.commit(sweep.record(run, end, validation=end, curve=curve))
    store.put_plan(sweep.plan, b"")
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("plots") / "store")


@pytest.fixture(scope="module")
def looked(store):
    return load_results(store, store.plan("sweep"))


@pytest.fixture(scope="module")
def records(store, looked):
    return shown_curves(store, looked.board)


@pytest.fixture(scope="module")
def drawings(looked, records):
    board = looked.board
    return {
        "curves": lambda: curves.draw(board, curves.task_curves(board, records)),
        "difference": lambda: curves.draw(board, curves.task_curves(board, records, to_baseline=True), True),
        "times": lambda: profiles.draw_times(board, times(board, records)),
        "scores": lambda: profiles.draw_scores(board),
        "ranks": lambda: ranks.draw(board, overall(board)),
        "budget": lambda: budget.draw(board, budgets(looked)),
        "rate": lambda: rate.draw(board, rates(looked)),
        "differences": lambda: differences.draw(board, against(board)),
    }


KINDS = ("curves", "difference", "times", "scores", "ranks", "budget", "rate", "differences")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind not in ("curves", "ranks"))) for kind in KINDS]
)
def test_the_same_data_are_the_same_bytes_without_a_date(drawings, kind):
    first = rendered(drawings[kind], ".svg")
    assert first == rendered(drawings[kind], ".svg")
    assert b"<dc:date>" not in first
    assert b"matplotlib.org" not in first


@pytest.mark.parametrize(("suffix", "magic"), [(".pdf", b"%PDF"), (".png", b"\x89PNG")])
def test_pdf_and_png_are_the_same_bytes_too(drawings, suffix, magic):
    first = rendered(drawings["ranks"], suffix)
    assert first.startswith(magic)
    assert first == rendered(drawings["ranks"], suffix)
    assert b"CreationDate" not in first


def test_fonts_in_pdf_are_not_type_3(drawings):
    assert b"/Type3" not in rendered(drawings["curves"], ".pdf")


def test_another_suffix_and_a_failing_drawing_write_nothing(drawings, tmp_path):
    with pytest.raises(ValueError, match="must be one of"):
        write(drawings["ranks"], tmp_path / "ranks.jpeg")

    def broken():
        raise TooLittle("nothing")

    with pytest.raises(TooLittle):
        write(broken, tmp_path / "ranks.svg")
    assert list(tmp_path.iterdir()) == []


def test_importing_imports_no_matplotlib_and_drawing_no_pyplot(store):
    code = (
        "import sys; import results.plots.curves, results.plots.ranks, results.plots.rate, results.plots.files as f;"
        "assert 'matplotlib' not in sys.modules;"
        "from optathlon.results.plots.style import panels; import matplotlib; before = matplotlib.rcParams.copy();"
        "f.rendered(lambda: panels(1)[0], '.svg');"
        "assert 'matplotlib.pyplot' not in sys.modules; assert matplotlib.rcParams.copy() == before"
    )
    root = str(Path(curves.__file__).parents[2])
    subprocess.run([sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {root!r}); {code}"], check=True)


def test_a_curve_is_the_mean_over_seeds_and_its_band_what_they_span(looked, records):
    (drawn, _) = curves.task_curves(looked.board, records)
    cell = looked.board.cell("adam", "mnist")
    expected = band([dict(records[run].curve.points["validation/accuracy"]) for run in cell.runs])
    assert (drawn.metric, drawn.unit, drawn.time) == ("validation/accuracy", "%", "epochs")
    assert drawn.bands["adam"] == expected


def test_a_metric_may_be_chosen_and_one_that_is_not_there_is_told_with_those_that_are(looked, records):
    (found, _) = curves.task_curves(looked.board, records, "train/loss")
    assert (found.metric, found.higher_is_better, found.unit) == ("train/loss", False, "")
    with pytest.raises(TooLittle, match=r"no curve 'train/los'; there are train/loss, validation/accuracy"):
        curves.task_curves(looked.board, records, "train/los")


def test_differences_of_curves_are_seed_by_seed_and_without_the_baseline(looked, records):
    (drawn, _) = curves.task_curves(looked.board, records, to_baseline=True)
    assert set(drawn.bands) == {"adam", "adamp"}
    ours, base = (looked.board.cell(name, "mnist") for name in ("adam", "sgd"))
    last = {run: dict(records[run].curve.points["validation/accuracy"])[8.0] for run in ours.runs + base.runs}
    ends = [last[a] - last[b] for a, b in zip(ours.runs, base.runs, strict=True)]
    assert drawn.bands["adam"].middle[-1] == pytest.approx(sum(ends) / 3)
    assert drawn.bands["adam"].low[-1] == pytest.approx(min(ends))


def share_at(steps, tau):
    return max((share for x, share in steps if x <= tau), default=0.0)


def test_the_profile_of_times_is_the_share_of_tasks_within_each_ratio():
    ratios = [1.0, 1.0, 2.5, None]
    steps = profiles.time_steps(ratios)
    for tau in (1.0, 1.2, 2.5, 3.9):
        assert share_at(steps, tau) == sum(ratio is not None and ratio <= tau for ratio in ratios) / len(ratios)


def test_the_profile_of_scores_is_the_share_of_runs_each_task_counting_alike(looked):
    gaps, tasks = profiles.score_gaps(looked.board)
    assert len(tasks) == 2
    steps = profiles.score_steps(gaps["adam"])
    for tau in (-1.03, 0.57, 2.01, 7.1):
        shares = [sum(gap <= tau for gap in runs) / len(runs) for runs in gaps["adam"]]
        assert share_at(steps, tau) == pytest.approx(sum(shares) / len(shares))
    assert profiles.score_steps([[1.0, math.inf]]) == [(1.0, 0.5)]


def test_the_intervals_drawn_are_the_boards_or_dunnetts(looked):
    each = next(e for e in against(looked.board) if e.row == "adamp")
    assert differences.interval(each, "moderated") == (each.low, each.high)
    assert differences.interval(each, "dunnett") == (each.dunnett.low, each.dunnett.high)


def test_the_diagram_puts_names_and_ranks_and_one_bar_a_clique(looked, drawings):
    (axis,) = drawings["ranks"]().axes
    texts = [text.get_text() for text in axis.texts]
    assert sum(bool(re.search(r"\b(sgd|adam|adamp)\b", text)) for text in texts) == 3
    assert f"critical difference {overall(looked.board).critical_difference:.2f}" in texts[-1]
    bars = [line for line in axis.lines if line.get_linewidth() == 2.4]
    assert len(bars) == len(overall(looked.board).cliques)


def test_the_good_region_is_drawn_where_it_is(looked, drawings):
    found = rates(looked)
    (first, _) = drawings["rate"]().axes
    ends = {tuple(line.get_xdata()) for line in first.lines if line.get_linewidth() == 2.2}
    assert ends == {(line.region.low, line.region.high) for line in found if line.task == found[0].task}


def test_eight_rows_are_in_color_the_baseline_first_and_the_rest_gray(tmp_path):
    rows = tuple(f"optimizer-{n}" for n in range(11))
    store = stored(tmp_path / "store", ("sgd", *rows), ("mnist",), tune=())
    plan = store.plan("sweep")
    assert len(plan.head.rows) == 12
    look_of = looks(load_results(store, Sweep({r: [setting(r)] for r in ("sgd", *rows)}, baseline="sgd").plan).board)
    colored = [name for name, look in look_of.items() if look.colored]
    assert len(colored) == MOST_COLORED
    assert colored[0] == "sgd"
    assert len({(look_of[name].color, look_of[name].dashes) for name in colored}) == MOST_COLORED


def test_long_names_and_names_that_look_like_formulas_are_drawn_as_they_are(tmp_path):
    rows = ("sgd", "$\\frac$ " + "x" * 100, "a" + "y" * 300)
    looked = load_results(store := stored(tmp_path / "store", rows), store.plan("sweep"))
    drawings = [
        lambda: ranks.draw(looked.board, overall(looked.board)),
        lambda: differences.draw(looked.board, against(looked.board)),
        lambda: curves.draw(looked.board, curves.task_curves(looked.board, shown_curves(store, looked.board))),
    ]
    for draw in drawings:
        assert rendered(draw, ".svg")
        assert max(draw().get_size_inches()) < 20
    start, end = drawings[0]().axes[0].lines[0].get_xdata()
    assert start < end, "names leave no room for the ranks"


def test_rates_are_written_as_a_sweep_writes_them(drawings):
    figure = drawings["rate"]()
    figure.draw_without_rendering()
    words = [label.get_text() for axis in figure.axes for label in axis.get_xticklabels()]
    assert {"0.01", "0.03", "0.1"} <= set(words)
    assert not any("$" in word for word in words)


def test_what_is_missing_is_said(tmp_path):
    sweep = Sweep({"sgd": [setting("sgd")]}, baseline=None)
    store = Store(tmp_path / "store")
    for record in sweep.records(lambda r: 0.5):
        store.commit(record)
    store.put_plan(sweep.plan, b"")
    alone = load_results(store, store.plan("sweep"))
    board, records = alone.board, shown_curves(store, alone.board)
    for draw, missing in (
        (lambda: ranks.draw(board, overall(board)), "two rows"),
        (lambda: budget.draw(board, budgets(alone)), "tuning seeds"),
        (lambda: rate.draw(board, rates(alone)), "sweep over lr"),
        (lambda: differences.draw(board, against(board)), "a baseline"),
        (lambda: profiles.draw_times(board, times(board, records)), "targets"),
        (lambda: profiles.draw_scores(board), "two seeds"),
        (lambda: curves.task_curves(board, records, to_baseline=True), "a baseline"),
    ):
        with pytest.raises(TooLittle, match=missing):
            draw()


@pytest.fixture(scope="module")
def laid_out(drawings):
    """laid_out(kind) is the figure as it is written to a file, made once for all tests to look at."""
    import matplotlib

    @functools.cache
    def figure_of(kind):
        with matplotlib.rc_context(dict(RC)):
            figure = drawings[kind]()
            figure.draw_without_rendering()
        return figure

    return figure_of


def test_rows_to_highlight_are_in_color_after_the_baseline(tmp_path):
    rows = ("sgd", *(f"optimizer-{n}" for n in range(11)))
    store = stored(tmp_path / "store", rows, ("mnist",), tune=())
    board = load_results(store, store.plan("sweep")).board
    plain, own = looks(board), looks(board, highlight=["optimizer-10"])
    assert not plain["optimizer-10"].colored
    assert (own["sgd"].number, own["optimizer-10"].number) == (0, 1)
    assert sum(look.colored for look in own.values()) == MOST_COLORED


def test_lines_on_each_other_all_show(looked):
    """The widest is lowest, and what lies above has gaps, or is thinner."""
    styles = sorted((look.line() for look in looks(looked.board).values()), key=lambda style: style["zorder"])
    base, second, *others = styles
    assert base["linewidth"] > second["linewidth"]
    assert (base["linestyle"], second["linestyle"]) == ("-", "-")
    assert all(style["linestyle"] != "-" for style in others)


@pytest.mark.parametrize("kind", ["curves", "difference", "budget", "scores", "times"])
def test_each_line_has_its_name_at_its_end_and_no_name_covers_another(laid_out, kind):
    from matplotlib.text import Text

    for axis in laid_out(kind).axes:
        names = [text for text in axis.texts if text.get_text() in ROWS]
        assert len(names) == len(ROWS) - (kind == "difference")
        # Without the lines that lead to them, which an annotation's own extent has in it.
        boxes = sorted((Text.get_window_extent(name) for name in names), key=lambda box: box.y0)
        assert all(a.y1 <= b.y0 + 1 for a, b in itertools.pairwise(boxes))


def test_each_bar_of_rates_has_its_row_and_width_beside_it(looked, laid_out):
    (first, _) = laid_out("rate").axes
    of_task = [line for line in rates(looked) if line.task == rates(looked)[0].task]
    assert [text.get_text().split()[0] for text in first.texts] == [line.row for line in of_task]
    assert all(text.get_window_extent().x0 >= first.get_window_extent().x1 for text in first.texts)


@pytest.mark.parametrize("kind", ["curves", "difference", "budget", "rate"])
def test_labels_of_axes_are_no_longer_than_the_axes(laid_out, kind):
    figure = laid_out(kind)
    for axis in figure.axes:
        assert axis.yaxis.label.get_window_extent().height <= axis.get_window_extent().height + 4
        assert axis.title.get_window_extent().width <= figure.bbox.width / 2


def test_an_area_below_a_profile_is_larger_the_earlier_it_rises():
    early, late = [(1.0, 0.5), (2.0, 1.0)], [(1.0, 0.5), (3.0, 1.0)]
    assert profiles.area(early, 4.0) == pytest.approx(0.5 * 3 + 0.5 * 2)
    assert profiles.area(late, 4.0) < profiles.area(early, 4.0)
    assert profiles.area([(5.0, 1.0)], 4.0) == 0


def test_a_figure_shows_all_of_training_where_it_is_asked_for(looked, records):
    drawn = curves.task_curves(looked.board, records)
    (cut, *_), (whole, *_) = (curves.draw(looked.board, drawn, whole=w).axes for w in (False, True))
    first = min(of_row.times[0] for of_row in drawn[0].bands.values())
    lowest = min(min(of_row.middle) for of_row in drawn[0].bands.values())
    assert whole.get_xlim()[0] <= first < cut.get_xlim()[0]
    assert whole.get_ylim()[0] <= lowest < cut.get_ylim()[0]


def test_an_arrow_says_which_direction_is_better_if_one_is(looked, records):
    (accuracy, *_) = curves.task_curves(looked.board, records)
    (loss, *_) = curves.task_curves(looked.board, records, "train/loss")
    assert (accuracy.higher_is_better, loss.higher_is_better) == (True, False)
    assert curves.direction_of("model/weight_norm", looked.board.columns[0], list(records.values())) is None
    assert score_label("model/weight_norm", "", None) == "model/weight_norm"
