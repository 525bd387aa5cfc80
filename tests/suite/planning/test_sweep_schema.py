"""Editors check sweep files by a schema that takes every file that expands, and refuses what it can see is wrong."""

from __future__ import annotations

import datetime
import tomllib

import jsonschema
import pytest

from optathlon import optimizers, tasks
from optathlon.suite.errors import SweepError
from optathlon.suite.planning import cluster_settings, sweep_reader
from optathlon.suite.planning.plan import expand
from optathlon.suite.planning.sweep_schema import schema
from tests.suite.planning.test_bad_sweeps import BAD, changed
from tests.suite.sweeps import SWEEP, write

SCHEMA = schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
OPTIMIZER = SCHEMA["properties"]["optimizer"]["items"]["properties"]
ONLY_THE_EXPANSION_KNOWS = {"unreadable", "nested too deeply"}


def accepts(text: str) -> bool:
    return VALIDATOR.is_valid(as_json(tomllib.loads(text)))


def as_json(value):
    """What editors hand to a schema: TOML's dates and times are text."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value.isoformat() if isinstance(value, datetime.time | datetime.date) else value


def test_it_is_a_schema_itself():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", sweep_reader.built_in())
def test_every_built_in_sweep_keeps_to_it(name):
    table = tomllib.loads(sweep_reader.find(name).read_text())
    assert [error.message for error in VALIDATOR.iter_errors(as_json(table))] == []


@pytest.mark.parametrize("case", sorted(BAD.keys() - ONLY_THE_EXPANSION_KNOWS))
def test_every_refused_file_is_refused_by_the_schema_or_by_the_expansion(case, tmp_path):
    text = changed(BAD[case][0])
    if accepts(text):
        (tmp_path / "broken.py").write_text("def (")
        with pytest.raises(SweepError):
            expand(sweep_reader.load(write(tmp_path, text)), tmp_path / "data")


@pytest.mark.parametrize(
    "case",
    ["unknown key", "unknown scale", "unknown task", "unknown optimizer", "no optimizer", "seed twice", "negative seed",
     "name with a slash", "unknown protocol", "protocol of wrong type", "probe that is unknown", "label over two lines",
     "random without a seed", "looks without an end", "summary is no text", "override is no table",
     "label that is a word of the format", "cluster of an optimizer that is the whole sweep's"],
)  # fmt: skip
def test_what_an_editor_can_see_is_refused_as_one_writes(case):
    assert accepts(SWEEP)
    assert not accepts(changed(BAD[case][0]))


@pytest.mark.parametrize(
    "change",
    [
        "seeds = {tune = [0], report = {first = 3, most = 12}}",
        'seeds = {tune = [0, 1], report = [2, 3]}\nselect = "per seed"',
        'protocol.schedule = {kind = "multistep", milestones = [1, 2]}',
        "protocol.schedule.warmup = 2",
        "protocol.tags.norm.weight_decay = 0.0",
        'cluster = {kind = "slurm", gpus = "a100:2", memory = "32G", time = 12:30:00, sbatch = {nice = 100}}',
        'optimizer = [{name = "sgd", cluster = {memory = "64G", gpus = 2, time = 90}}]',
        'table = {columns = [{mean = ["toy:*"]}], rows = ["sgd"]}',
        'override."toy:TASK" = {protocol = {length = 2}, cluster = {memory = "8G"}, sgd = {grid = {lr = [1, 2]}}}',
    ],
)
def test_what_the_pages_show_is_accepted(change):
    assert accepts(changed(change))


def test_it_knows_every_key_that_the_reader_knows():
    assert SCHEMA["properties"].keys() == set(sweep_reader.KEYS)
    assert OPTIMIZER.keys() == set(sweep_reader.OPTIMIZER_KEYS)
    assert SCHEMA["properties"]["cluster"]["properties"].keys() == cluster_settings.PARSERS.keys()
    assert OPTIMIZER["cluster"]["properties"].keys() == set(cluster_settings.PER_SHAPE)


def test_editors_offer_the_names_that_there_are():
    assert SCHEMA["properties"]["tasks"]["items"]["anyOf"][0]["enum"] == tasks.names()
    assert OPTIMIZER["name"]["anyOf"][0]["enum"] == optimizers.names()
