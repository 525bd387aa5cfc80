"""The sweeps of the papers' ImageNet tables: what is published has a row, a column and a metric in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from optathlon.results.papers.published import Published, published
from optathlon.suite.planning.sweep import Sweep
from optathlon.suite.planning.sweep_reader import find, load
from optathlon.tasks.imagenet.settings import ImageNetSettings

TABLES = {  # a sweep and the published table it is of
    "adamp/table-2": "AdamP Table 2, H.1",
    "adamp/table-d2": "AdamP Table D.2",
    "adamp/table-d3": "AdamP Table D.3",
    "adamp/table-h6": "AdamP Table H.6",
    "adamp/table-h7": "AdamP Table H.7",
    "adarem/table-1": "AdaRem Table 1",
    "adarem/table-2": "AdaRem Table 2",
    "adarem/table-6": "AdaRem Table 6",
    "adarem/table-7": "AdaRem Table 7",
}


def settings(sweep: Sweep, task: str, optimizer: str) -> Iterator[dict[str, Any]]:
    """Each setting of an optimizer on a task, with what it changes in the protocol under protocol.*"""
    (described,) = [t for t in sweep.tasks if t.name == task]
    for entry in sweep.entries_on(described):
        if entry.spec.name == optimizer:
            protocol = {f"protocol.{key}": value for key, value in entry.protocol.items()}
            yield from (protocol | setting for setting in sweep.settings(entry, described))


def of_table(table: str) -> list[Published]:
    return [p for p in published() if p.table == table]


@pytest.mark.parametrize("name", TABLES)
def test_what_is_published_of_its_tasks_is_in_the_sweep(name) -> None:
    sweep = load(find(name))
    names = [task.name for task in sweep.tasks]
    theirs = [p for p in of_table(TABLES[name]) if p.task in names]
    assert theirs
    assert {p.task for p in theirs} == set(names)
    for number in theirs:
        found = [s for s in settings(sweep, number.task, number.optimizer) if s.items() >= number.setting.items()]
        lengths = [s for s in found if "protocol.length" in s and "protocol.length" not in number.setting]
        # A number that names no length is of the whole one, where a row of 92 % stands beside; D.2's recipes have one.
        assert len(found) - (len(lengths) if len(found) > 1 else 0) == 1, number
    for task in sweep.tasks:
        assert {p.metric for p in theirs if p.task == task.name} <= {m.name for m in task.metrics}


@pytest.mark.parametrize("name", TABLES)
def test_all_of_it_can_run(name) -> None:
    """Each optimizer's protocol passes the task's own check."""
    sweep = load(find(name))
    for task in sweep.tasks:
        for entry in sweep.entries_on(task):
            ImageNetSettings.read(sweep.protocol_of(task).override(entry.protocol))


def test_each_published_imagenet_number_of_these_tables_has_a_sweep() -> None:
    for table in set(TABLES.values()):
        tasks = {task.name for name, of in TABLES.items() if of == table for task in load(find(name)).tasks}
        assert {p.task for p in of_table(table)} <= tasks


def test_a_file_is_named_as_its_sweep() -> None:
    for name in TABLES:
        assert load(find(name)).name == name.replace("/", "-")
        assert Path(find(name)).stem == name.partition("/")[2]


def test_the_baselines_of_table_d2_have_timms_schedules() -> None:
    """RMSprop's decays by steps of 2.4 epochs; ReXNet's SGD warms up and ends at timm's own rates, not at AdamP's."""
    scheduler = pytest.importorskip("timm.scheduler")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedules = {
        "imagenet-efficientnet-b0": (0.032, scheduler.StepLRScheduler, 450,
                     {"decay_t": 2.4, "decay_rate": 0.97, "warmup_lr_init": 1e-6, "warmup_prefix": False}),
        "imagenet-rexnet-1.0": (0.5, scheduler.CosineLRScheduler, 410,
                            {"t_initial": 400, "lr_min": 1e-5, "warmup_lr_init": 1e-4}),
    }  # fmt: skip
    sweep = load(find("adamp/table-d2"))
    for name, (rate, kind, length, how) in schedules.items():
        (task,) = [task for task in sweep.tasks if task.name == name]
        (entry,) = [e for e in sweep.entries_on(task) if e.label != "adamp"]
        protocol = sweep.protocol_of(task).override(entry.protocol)
        assert (protocol.length, entry.grid["fixed"]["lr"]) == (length, rate)
        optimizer.param_groups[0]["lr"] = optimizer.param_groups[0]["initial_lr"] = rate
        theirs = kind(optimizer, warmup_t=3, **how)
        ours = [rate * protocol.schedule.factor(epoch + 0.5, length) for epoch in range(length)]
        assert ours == pytest.approx([theirs._get_lr(epoch)[0] for epoch in range(length)], rel=1e-9)


def test_the_larger_efficientnets_drop_more() -> None:
    sweep = load(find("adamp/table-d2"))
    for task in sweep.tasks[:4]:
        (entry,) = [e for e in sweep.entries_on(task) if e.label == "rmsprop_tf"]
        s = ImageNetSettings.read(sweep.protocol_of(task).override(entry.protocol))
        assert s.mixing == "none"
        assert ((s.dropout, s.drop_path) == (0.3, 0.2)) == (task.name[-2:] in ("b2", "b3"))
