"""Each built-in sweep runs at smoke scale on miniatures: its tasks with its optimizers, for two updates and a test.

Here each sweep trains one row on each task that no sweep before it has trained, or else on its first;
OPTATHLON_EVERY_PAIR=1 trains each optimizer of each sweep on each task.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import msgspec
import pytest
import torch

from optathlon import tasks
from optathlon.results import Store, this_process
from optathlon.suite.identity import Run
from optathlon.suite.planning.plan import expand, run_of
from optathlon.suite.planning.sweep_reader import built_in, find, load
from optathlon.suite.working.execute import execute
from tests.miniatures import put_miniatures

EVERY_OPTIMIZER = os.environ.get("OPTATHLON_EVERY_PAIR") == "1"


@pytest.fixture(scope="session")
def miniatures(tmp_path_factory) -> Path:
    """A data folder that holds the miniature of every data set."""
    folder = tmp_path_factory.mktemp("miniatures")
    put_miniatures(folder, *tasks.dataset_paths())
    return folder


@functools.cache
def runs_of(name: str) -> dict[tuple[str, str], Run]:
    """The first run of each task with each optimizer."""
    plan = expand(load(find(name), "smoke"), Path("absent"))
    runs: dict[tuple[str, str], Run] = {}
    for planned in plan.runs:
        run = run_of(plan, planned)
        runs.setdefault((run.problem.task, run.setting.optimizer), run)
    return runs


@functools.cache
def chosen() -> dict[str, list[tuple[str, str]]]:
    """Task and optimizer of what each sweep trains."""
    pairs_of: dict[str, list[tuple[str, str]]] = {}
    trained: set[str] = set()
    for turn, name in enumerate(built_in()):
        pairs = list(runs_of(name))
        if not EVERY_OPTIMIZER:
            new = {task for task, _ in pairs} - trained or {pairs[0][0]}
            by_task = [[pair for pair in pairs if pair[0] == task] for task in sorted(new)]
            pairs = [rows[turn % len(rows)] for rows in by_task]
        trained |= {task for task, _ in pairs}
        pairs_of[name] = pairs
    return pairs_of


def shortened(run: Run) -> Run:
    """`run` cut to two steps, with what its recipe does at certain points left out."""
    length = {"length": 2, "unit": "steps", "evaluate_every": 2, "restore_best_at": []}
    changes = {key: value for key, value in run.setting.protocol.items() if key not in length and key != "schedule"}
    problem = msgspec.structs.replace(run.problem, protocol=run.problem.protocol.override(length))
    return msgspec.structs.replace(run, problem=problem, setting=msgspec.structs.replace(run.setting, protocol=changes))


@pytest.mark.slow
@pytest.mark.parametrize("sweep", built_in())
def test_it_runs_at_smoke_scale(tmp_path, miniatures, sweep) -> None:
    store = Store(tmp_path)
    for pair in chosen()[sweep]:
        run = shortened(runs_of(sweep)[pair])
        attempt = store.claim(run.id, this_process())
        assert attempt is not None
        ended = execute(store, run, attempt, miniatures, stop=lambda: False, device=torch.device("cpu"))
        assert ended.kind == "finished", (pair, ended)
        record = store.record(run.id)
        assert record is not None
        assert record.updates == 2


def test_every_task_of_every_sweep_is_trained_by_one_of_them() -> None:
    everywhere = {task for name in built_in() for task, _ in runs_of(name)}
    assert {task for pairs in chosen().values() for task, _ in pairs} == everywhere
