"""What a sweep comes to: as many runs as its plan has, each as long as its protocol."""

from __future__ import annotations

import pytest

from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand
from optathlon.suite.planning.sweep_size import size
from tests.suite.sweeps import SWEEP, write

GRID = SWEEP.replace("fixed.lr = 0.1", "grid.lr = [0.1, 0.2, 0.3]")


@pytest.mark.parametrize("name", ["quickstart", "adamp/table-1", "adamp/table-4", "adarem/table-2"])
def test_without_tuning_every_planned_run_counts(name, tmp_path):
    sweep = sweep_reader.load(sweep_reader.find(name))
    assert size(sweep).runs == len(expand(sweep, tmp_path).runs)


def test_with_tuning_one_setting_of_a_cell_is_reported(tmp_path):
    tuned = GRID.replace("seeds = [0, 1]", "seeds = {tune = [0, 1], report = [2, 3, 4]}")
    assert size(sweep_reader.load(write(tmp_path, tuned))).runs == (3 * 2 + 3) + (1 * 2 + 3)


def test_lengths_are_of_each_rows_own_protocol_and_kept_apart_by_unit(tmp_path):
    text = SWEEP.replace("fixed.lr = 1e-2", "fixed.lr = 1e-2\nprotocol.length = 7")
    sweep = sweep_reader.load(write(tmp_path, text.replace("tasks = [", "protocol.length = 3\ntasks = [")))
    assert size(sweep).lengths == {"epochs": 2 * 3 + 2 * 7}
    assert str(size(sweep)) == "20 epochs"
    mixed = sweep_reader.load(sweep_reader.find("everything"))
    assert size(mixed).lengths.keys() == {"epochs", "steps"}
    assert size(mixed).runs == 400
