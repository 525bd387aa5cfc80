"""The sweeps that come with the suite are found by place or name, and can be planned."""

from __future__ import annotations

from collections import Counter

import pytest

from optathlon.suite.errors import SweepError
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand
from tests.suite.sweeps import SWEEP, write


@pytest.mark.parametrize("name", sweep_reader.built_in())
def test_every_built_in_sweep_can_be_planned(name, tmp_path):
    plan = expand(sweep_reader.load(sweep_reader.find(name)), tmp_path)
    assert plan.runs
    assert plan.head.name == sweep_reader.name_of(name)
    assert "/" not in plan.head.name


def test_built_in_sweeps_lie_in_folders_and_are_found_by_place_or_by_the_name_they_have_in_a_store():
    assert {"quickstart", "adarem/table-3"} <= set(sweep_reader.built_in())
    assert sweep_reader.find("adarem/table-3") == sweep_reader.find("adarem-ptb")
    assert sweep_reader.name_of("adarem/table-3") == sweep_reader.name_of("adarem-ptb") == "adarem-ptb"


def test_built_in_sweeps_that_share_a_name_in_a_store_share_their_runs(tmp_path):
    """A paper's table of means and its table of deviations are two files for the same runs."""
    runs = {}
    for place in sweep_reader.built_in():
        planned = {run.id for run in expand(sweep_reader.load(sweep_reader.find(place)), tmp_path).runs}
        assert runs.setdefault(sweep_reader.name_of(place), planned) == planned


def test_a_built_in_sweep_without_a_name_is_called_after_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_reader, "BUILT_IN", tmp_path)
    (tmp_path / "adamp").mkdir()
    path = write(tmp_path / "adamp", SWEEP.replace('name = "toys"', ""))
    assert sweep_reader.built_in() == ["adamp/sweep"]
    assert sweep_reader.name_of("adamp/sweep") == sweep_reader.load(path).name == "adamp-sweep"


def test_a_folder_is_no_sweep_file_and_hides_no_built_in_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    assert sweep_reader.find("quickstart").is_file()
    with pytest.raises(SweepError, match=r"unknown sweep 'quickstar'.*did you mean quickstart"):
        sweep_reader.find("quickstar")


@pytest.mark.parametrize("name", sweep_reader.built_in())
def test_every_sweep_that_comes_with_the_suite_expands(name, tmp_path):
    plan = expand(sweep_reader.load(sweep_reader.find(name)), tmp_path)
    assert plan.runs
    assert plan.head.baseline


def test_the_grids_of_adarem_s_table_3_have_the_trials_of_the_protocol_page(tmp_path):
    plan = expand(sweep_reader.load(sweep_reader.find("adarem/table-3")), tmp_path)
    tuned = Counter(run.row for run in plan.runs if run.role == "tune")
    assert tuned == {"sgdm": 5, "adam": 5 * 2 * 2, "adarem": 5 * 3}
