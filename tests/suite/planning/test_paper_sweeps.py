"""Each results table and figure of the papers is a built-in sweep that plans at every scale, and lacks no row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from optathlon import tasks
from optathlon.results.board.build import leaderboard
from optathlon.results.papers.beside import with_published
from optathlon.results.papers.published import Published, published
from optathlon.suite.errors import SweepError
from optathlon.suite.planning.plan import expand
from optathlon.suite.planning.sweep import Sweep
from optathlon.suite.planning.sweep_reader import built_in, figure_of, find, load

TABLES = {  # of the papers: the sweep that each is
    "AdamP Table 1": "adamp/table-1",
    "AdamP Table 2, H.1": "adamp/table-2",
    "AdamP Table 3": "adamp/table-3",
    "AdamP Table 4, H.2": "adamp/table-4",
    "AdamP Table 5, H.3": "adamp/table-5",
    "AdamP Table 6, H.4": "adamp/table-6",
    "AdamP Table B.1": "adamp/table-b1",
    "AdamP Table D.1, H.5": "adamp/table-d1",
    "AdamP Table D.2": "adamp/table-d2",
    "AdamP Table D.3": "adamp/table-d3",
    "AdamP Table E.2": "adamp/table-e2",
    "AdamP Table G.1": "adamp/table-g1",
    "AdamP Table H.6": "adamp/table-h6",
    "AdamP Table H.7": "adamp/table-h7",
    "AdaRem Table 1": "adarem/table-1",
    "AdaRem Table 2": "adarem/table-2",
    "AdaRem Table 3": "adarem/table-3",
    "AdaRem Table 6": "adarem/table-6",
    "AdaRem Table 7": "adarem/table-7",
}
NO_RUNS = ("average of the four", "Madry et al. 2018, as given by them")
"""Notes of numbers that are computed from others, or that AdamP's authors did not measure."""
NAMED = """
    adamp/table-1 adamp/table-2 adamp/table-3 adamp/table-4 adamp/table-5 adamp/table-6 adamp/table-b1 adamp/table-d1
    adamp/table-d2 adamp/table-d3 adamp/table-e2 adamp/table-g1 adamp/table-h1 adamp/table-h2 adamp/table-h3
    adamp/table-h4 adamp/table-h5 adamp/table-h6 adamp/table-h7 adamp/figure-4 adamp/figure-f1 adamp/figure-f2
    adamp/figure-f3 adamp/figure-f4 adamp/figure-f5 adamp/figure-f6
    adarem/table-1 adarem/table-2 adarem/table-3 adarem/table-4 adarem/table-5 adarem/table-6 adarem/table-7
    adarem/figure-1 adarem/figure-2 adarem/figure-4 adarem/figure-5 adarem/figure-6
""".split()  # noqa: SIM905


def settings(sweep: Sweep, task: str, optimizer: str) -> Iterator[dict[str, Any]]:
    """Each setting of an optimizer on a task, with what it changes in the protocol under protocol.*"""
    (described,) = [t for t in sweep.tasks if t.name == task]
    for entry in sweep.entries_on(described):
        if entry.spec.name == optimizer:
            protocol = {f"protocol.{key}": value for key, value in entry.protocol.items()}
            yield from (protocol | setting for setting in sweep.settings(entry, described))


@pytest.mark.parametrize("name", NAMED)
def test_each_table_and_figure_has_its_name(name):
    assert name in built_in()


def test_each_published_table_is_known_here():
    assert {number.table for number in published()} == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_each_published_row_is_a_row_of_its_sweep(table):
    sweep = load(find(TABLES[table]))
    for number in (p for p in published() if p.table == table and p.note not in NO_RUNS):
        assert rows_of(sweep, number), number


@pytest.mark.parametrize("scale", ["paper", "smoke"])
@pytest.mark.parametrize("table", TABLES)
def test_each_published_number_stands_in_the_printed_table(table, scale, tmp_path):
    plan = expand(load(find(TABLES[table]), scale), tmp_path)
    board = with_published(leaderboard(plan, [], printed=True), plan, published())
    printed = [(n.mean, n.std) for row in board.rows for cell in row.cells for n in cell.published]
    numbers = [(n.mean, n.std) for n in published() if n.table == table and not n.note.startswith("Madry")]
    assert set(printed) == set(numbers)
    assert board.published == table
    assert len(board.only_published) == (table == "AdamP Table E.2")


def rows_of(sweep: Sweep, number: Published) -> list[dict[str, Any]]:
    if number.task not in [task.name for task in sweep.tasks]:
        return []
    return [s for s in settings(sweep, number.task, number.optimizer) if s.items() >= number.setting.items()]


@pytest.mark.parametrize("scale", tasks.SCALES)
@pytest.mark.parametrize("name", built_in())
def test_each_sweep_expands_at_each_scale(name, scale, tmp_path):
    sweep = load(find(name), scale)
    plan = expand(sweep, tmp_path)
    assert plan.head.scale == scale
    assert len(plan.runs) >= sum(len(sweep.entries_on(task)) for task in sweep.tasks)
    assert sweep.name.endswith(f"-{scale}") == (scale != load(find(name)).scale)


def test_a_rescaled_sweep_keeps_a_file_that_says_so(tmp_path):
    (tmp_path / "again.toml").write_bytes(load(find("adamp/table-2"), "smoke").toml)
    again = load(tmp_path / "again.toml")
    assert (again.name, again.scale) == ("adamp-table-2-smoke", "smoke")
    assert expand(again, tmp_path).head.digest == expand(load(find("adamp/table-2"), "smoke"), tmp_path).head.digest


@pytest.mark.parametrize("scale", ["mini", "smoke"])
@pytest.mark.parametrize("name", built_in())
def test_no_run_has_the_length_of_another_scale(name, scale):
    sweep = load(find(name), scale)
    for task in sweep.tasks:
        described, own = sweep.protocol_of(task), task.protocol(scale).length
        for entry in sweep.entries_on(task):
            assert described.override(entry.protocol).length <= max(7 * own, own + 3)


def test_lengths_and_schedules_are_stretched_with_the_task():
    (first, *_) = load(find("adamp/table-4"), "smoke").entries
    factor = tasks.task("mtat").protocol("smoke").length / tasks.task("mtat").protocol("paper").length
    assert first.protocol["length"] == round(200 * factor)
    assert first.protocol["restore_best_at"] == [round(n * factor) for n in (60, 80, 100)]
    assert first.protocol["schedule"]["milestones"] == [round(n * factor) for n in (60, 80, 100)]


@pytest.mark.parametrize("scale", ["mini", "smoke"])
def test_what_is_overridden_for_a_task_is_stretched_with_that_task(scale):
    """92 % of the epochs are 92 of ResNet's 100, and 138 of MobileNetV2's 150."""
    sweep = load(find("adamp/table-h7"), scale)
    for task in sweep.tasks:
        (entry,) = [entry for entry in sweep.entries_on(task) if entry.label == "sgdp92"]
        assert entry.protocol["length"] == round(0.92 * task.protocol(scale).length)


@pytest.mark.parametrize("scale", ["mini", "smoke"])
def test_the_mixture_changes_to_sgd_where_its_best_weights_are_taken_up_again(scale):
    sweep = load(find("adamp/table-4"), scale)
    for entry in sweep.entries[:2]:
        (setting,) = sweep.settings(entry, sweep.tasks[0])
        assert setting["switch"] == entry.protocol["restore_best_at"][0]


def test_hyperparameters_that_count_epochs_are_stretched_wherever_they_stand(tmp_path):
    text = (
        'tasks = ["mtat"]\n[[optimizer]]\nname = "adam_sgd"\nfixed.lr = 1e-4  # the paper\'s\n'
        "grid.switch = [50, 100]\nprotocol.tags.norm.weight_decay = 0.0\n"
    )
    (path := tmp_path / "switches.toml").write_text(text)
    sweep = load(path, "smoke")
    assert [s["switch"] for s in sweep.settings(sweep.entries[0], sweep.tasks[0])] == [3, 6]
    assert b"fixed.lr = 1e-4  # the paper's" in sweep.toml


def test_a_name_and_scale_that_cannot_be_replaced_are_refused(tmp_path):
    text = find("adamp/table-2").read_text().replace('name = "adamp-table-2"', 'name = """adamp\\\n-table-2"""')
    (path := tmp_path / "odd.toml").write_text(text)
    with pytest.raises(SweepError, match="each stand on a line of their own"):
        load(path, "smoke")


def test_each_figure_names_curves():
    with_figure = [name for name in built_in() if "[figure]" in find(name).read_text()]
    assert {"adamp/figure-f1", "adamp/figure-4", "adarem/figure-2"} <= set(with_figure)
    for name in with_figure:
        store_name, curves = figure_of(name)
        assert store_name == load(find(name)).name
        assert all("/" in curve for curve in curves)


def test_a_figure_that_names_no_curves_is_refused(tmp_path: Path):
    text = find("adamp/table-2").read_text()
    for figure in ("figure = 3", "figure.curves = []", "figure.curve = ['train/loss']", "figure.curves = 'train/loss'"):
        (path := tmp_path / "sweep.toml").write_text(f"{figure}\n{text}")
        with pytest.raises(SweepError, match=r"figure: must be curves"):
            load(path)
