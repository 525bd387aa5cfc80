"""Which shapes of allocation the cells of a sweep need: the sweep's own, and those of its tasks and optimizers."""

from __future__ import annotations

import pytest

from optathlon.results import Store
from optathlon.suite.errors import UsageError
from optathlon.suite.launching.launch import Launch, Wishes
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand
from optathlon.suite.planning.scope import Scope
from tests.suite.sweeps import SWEEP, write

TASK, LINEAR = "toy:TASK", "toy:LINEAR"
TWO_TASKS = SWEEP.replace('"toy:TASK"', '"toy:TASK", "toy:LINEAR"') + 'cluster.memory = "64G"\n'
"""Two tasks, sgd, and adamw with more memory."""
SMALL = '\n[cluster]\nmemory = "8G"\n'


def launched(tmp_path, text, *words):
    sweep = sweep_reader.load(write(tmp_path, text))
    return Launch(sweep, Store(tmp_path / "store"), Wishes(data=tmp_path, on="slurm", cluster=words))


def memories(tmp_path, text, *words):
    """Memory, tasks and rows of each shape."""
    shapes = launched(tmp_path, text, *words).shapes
    return [(settings.resources.memory, set(scope.tasks), set(scope.rows)) for settings, scope in shapes]


def test_an_optimizer_with_settings_of_its_own_has_a_shape_of_its_own(tmp_path):
    assert memories(tmp_path, TWO_TASKS + SMALL) == [
        ("8G", {TASK, LINEAR}, {"sgd"}),
        ("64G", {TASK, LINEAR}, {"adamw"}),
    ]


def test_every_row_of_its_block_is_in_it(tmp_path):
    text = TWO_TASKS.replace("fixed.lr = 1e-2", "grid.lr = [1e-2, 1e-3]\ngrid.protocol.schedule.warmup = [0, 1]")
    _, (_, _, rows) = memories(tmp_path, text)
    assert len(rows) == 4
    (_, (_, _, rows)) = memories(tmp_path, text.replace("[0, 1]", "{tune = [0], report = [1]}", 1))
    assert rows == {"adamw (schedule tuned)"}


def test_it_counts_over_the_task_and_the_command_line_over_it(tmp_path):
    text = TWO_TASKS + SMALL + '[override."toy:LINEAR".cluster]\nmemory = "16G"\npartition = "long"\n'
    assert memories(tmp_path, text) == [
        ("8G", {TASK}, {"sgd"}),
        ("64G", {TASK}, {"adamw"}),
        ("16G", {LINEAR}, {"sgd"}),
        ("64G", {LINEAR}, {"adamw"}),  # in the partition of its task
    ]
    assert memories(tmp_path, text, "memory=1G") == [("1G", {TASK}, set()), ("1G", {LINEAR}, set())]


def test_options_of_sbatch_are_merged_one_by_one(tmp_path):
    text = TWO_TASKS + "cluster.sbatch.nice = 7\n[cluster]\nsbatch = {nice = 5, comment = 'x'}\n"
    assert [settings.resources.sbatch for settings, _ in launched(tmp_path, text).shapes] == [
        {"nice": 5, "comment": "x"},
        {"nice": 7, "comment": "x"},
    ]


def test_cells_that_are_no_rectangle_are_several_shapes_and_every_run_is_in_one(tmp_path):
    text = TWO_TASKS + SMALL + '[override."toy:LINEAR".cluster]\nmemory = "64G"\n'
    begun = launched(tmp_path, text)
    assert memories(tmp_path, text) == [("8G", {TASK}, {"sgd"}), ("64G", {TASK}, {"adamw"}), ("64G", {LINEAR}, set())]
    assert all(sum(scope.covers(run) for _, scope in begun.shapes) == 1 for run in begun.plan.runs)


def test_without_such_settings_no_row_is_named(tmp_path):
    ((_, scope),) = launched(tmp_path, SWEEP).shapes
    assert scope == Scope(frozenset({TASK}))


def test_it_makes_no_run_another(tmp_path):
    written = SWEEP + 'cluster = {memory = "64G", gpus = 2, time = "01:00:00"}\n'
    plain, special = (expand(sweep_reader.load(write(tmp_path, text)), tmp_path) for text in (SWEEP, written))
    assert plain.head.digest == special.head.digest


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ('cluster.memory = "64"', "optimizer[1].cluster.memory: must be text with a unit, \"32G\", not '64'"),
        ('cluster.memry = "64G"', "optimizer[1].cluster.memry: unknown (did you mean memory?)"),
        ("cluster.workers = 3", "optimizer[1].cluster.workers: unknown"),
        ('cluster.kind = "slurm"', "optimizer[1].cluster.kind: unknown"),
        ("cluster = 3", "optimizer[1].cluster: must be a table, not 3"),
    ],
)
def test_a_mistake_in_it_is_named(words, expected, tmp_path):
    with pytest.raises(UsageError) as error:
        sweep_reader.load(write(tmp_path, SWEEP + words + "\n"))
    assert str(error.value).startswith(f"{tmp_path / 'sweep.toml'}: {expected}")


def test_what_cannot_fit_together_names_its_block_and_the_task(tmp_path):
    with pytest.raises(UsageError, match=r"sweep.toml: optimizer\[1\]: on toy:TASK: cluster.time: 2 min leave nothing"):
        launched(tmp_path, SWEEP + "cluster.time = 2\n")


def test_each_shape_has_its_arrays_with_its_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")  # without Slurm: nothing is asked
    tuned = TWO_TASKS.replace("[0, 1]", "{tune = [0], report = [1, 2]}") + SMALL
    begun = launched(tmp_path, tuned)
    scripts = begun.scripts()
    found = [(order.stage, order.copies, set(order.scope.rows)) for order, _ in scripts]
    assert found == [("tune", 2, {"sgd"}), ("tune", 2, {"adamw"}), ("all", 4, {"sgd"}), ("all", 4, {"adamw"})]
    for order, script in scripts:
        assert f"#SBATCH --mem={'64G' if 'adamw' in order.scope.rows else '8G'}\n" in script
