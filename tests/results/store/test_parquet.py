"""Records as a Parquet file: one row a run, nothing lost, types that do not depend on the first rows."""

from __future__ import annotations

import json

import msgspec
import pyarrow.parquet as pq

from optathlon.results.store.parquet import write_parquet
from tests.results.make import ACCURACY, DIVERGED, record, setting


def read(records, folder):
    write_parquet(records, folder / "runs.parquet")
    return pq.read_table(folder / "runs.parquet")


def test_every_run_score_and_hyperparameter_comes_back(tmp_path):
    records = [
        record(0.1, of_setting=setting("sgd", lr=0.1, nesterov=True), seed=3),
        record(DIVERGED, of_setting=setting("adam", lr=1, betas=[0.9, 0.999]), seed=4),
    ]
    rows = read(records, tmp_path).to_pylist()
    assert [row["run"] for row in rows] == [r.id for r in records]
    assert [row[f"score.{ACCURACY}"] for row in rows] == [0.1, None]
    assert [row["hyperparameter.lr"] for row in rows] == [0.1, 1.0]
    assert [row["hyperparameter.nesterov"] for row in rows] == ["true", None]
    assert [row["hyperparameter.betas"] for row in rows] == [None, "[0.9, 0.999]"]
    assert [(row["task"], row["optimizer"], row["seed"], row["status"], row["diverged_at"]) for row in rows] == [
        ("mnist", "sgd", 3, "finished", None),
        ("mnist", "adam", 4, "diverged", 7),
    ]
    assert json.loads(rows[0]["problem"]) == msgspec.to_builtins(records[0].problem)


def test_types_and_schema_are_fixed(tmp_path):
    table = read([record(DIVERGED, of_setting=setting("sgd", lr=1))], tmp_path)
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["seed"], types["diverged_at"], types["hyperparameter.lr"]) == ("int64", "int64", "double")
    assert types[f"score.{ACCURACY}"] == "double"
    assert table.schema.metadata[b"optathlon.schema"] == b"1"


def test_no_records_are_an_empty_table(tmp_path):
    assert read([], tmp_path).num_rows == 0


def test_a_hyperparameter_beyond_every_float_is_written_as_text(tmp_path):
    records = [record(0.1, of_setting=setting("sgd", steps=10**400)), record(0.2, of_setting=setting("sgd", steps=2))]
    assert [row["hyperparameter.steps"] for row in read(records, tmp_path).to_pylist()] == [str(10**400), "2"]
