"""The numbers of benchmarks/board.py by pandas, polars, duckdb: python board_frames.py LIBRARY SOURCE [RECORDS]

Each reads a file of JSON lines, or a store's record files, picks the setting with the best mean on validation over the
tuning seeds in each cell, and prints mean, deviation and count on test over the report seeds, one cell a line. With the
folder RECORDS of a store it lists that before, and looks at size and date of each file, as a board does.
"""

from __future__ import annotations

import glob
import json
import os
import resource
import sys
from collections.abc import Iterable, Iterator
from typing import Any

FIRST_REPORT_SEED = 10
Cell = tuple[str, str, float, float, int]


def by_pandas(source: str) -> Iterator[Cell]:
    import pandas as pd

    # json.loads of each line and a frame of columns takes less time and memory here than pandas.read_json.
    rows = [_flat(json.loads(line)) for line in _lines(source)]
    frame = pd.DataFrame(rows, columns=["task", "optimizer", "setting", "seed", "test", "validation"])
    keys = ["task", "optimizer", "setting"]
    tuned = frame[frame.seed < FIRST_REPORT_SEED].groupby(keys).validation.mean()
    best = tuned[tuned.groupby(level=["task", "optimizer"]).idxmax()].index
    reported = frame[frame.seed >= FIRST_REPORT_SEED].set_index(keys)
    chosen = reported[reported.index.isin(best)]
    shown = chosen.groupby(["task", "optimizer"]).test.agg(["mean", "std", "count"])
    for (task, optimizer), row in shown.iterrows():  # pyright: ignore[reportGeneralTypeIssues]
        yield task, optimizer, row["mean"], row["std"], int(row["count"])


def by_polars(source: str) -> Iterable[Cell]:
    import polars as pl

    schema = {
        "digests": pl.Struct({"problem": pl.String, "setting": pl.String}),
        "problem": pl.Struct({"task": pl.String}),
        "setting": pl.Struct({"optimizer": pl.String}),
        "seed": pl.Int64,
        "scores": pl.List(pl.Struct({"name": pl.String, "value": pl.Float64})),
    }

    def score(name: str) -> pl.Expr:
        wanted = pl.col("scores").list.eval(
            pl.element().filter(pl.element().struct.field("name") == name).struct.field("value")
        )
        return wanted.list.first()

    runs = pl.scan_ndjson(source, schema=schema).select(
        task=pl.col("problem").struct.field("task"),
        optimizer=pl.col("setting").struct.field("optimizer"),
        setting=pl.col("digests").struct.field("setting"),
        seed="seed",
        test=score("test/accuracy"),
        validation=score("validation/accuracy"),
    )
    runs = runs.collect().lazy()
    cell, setting = ["task", "optimizer"], ["task", "optimizer", "setting"]
    tuned = runs.filter(pl.col("seed") < FIRST_REPORT_SEED).group_by(setting).agg(pl.col("validation").mean())
    best = tuned.sort("validation", descending=True).group_by(cell).agg(pl.col("setting").first())
    reported = runs.filter(pl.col("seed") >= FIRST_REPORT_SEED).join(best, on=setting)
    test = pl.col("test")
    shown = reported.group_by(cell).agg(test.mean().alias("mean"), test.std().alias("std"), test.count().alias("n"))
    return shown.collect().iter_rows()


def by_duckdb(source: str) -> Iterable[Cell]:
    import duckdb

    runs = f"""
        select problem.task as task, setting.optimizer as optimizer, digests.setting as setting, seed,
            list_filter(scores, lambda s: s.name = 'test/accuracy')[1].value as test,
            list_filter(scores, lambda s: s.name = 'validation/accuracy')[1].value as validation
        from read_json('{source}', format = 'newline_delimited', columns = {{
            digests: 'STRUCT(problem VARCHAR, setting VARCHAR)', problem: 'STRUCT(task VARCHAR)',
            setting: 'STRUCT(optimizer VARCHAR)', seed: 'BIGINT', scores: 'STRUCT(name VARCHAR, value DOUBLE)[]'}})"""
    cells: Any = duckdb.sql(f"""
        with runs as materialized ({runs}),
        tuned as (select task, optimizer, setting, avg(validation) as score from runs
            where seed < {FIRST_REPORT_SEED} group by all),
        best as (select task, optimizer, arg_max(setting, score) as setting from tuned group by all)
        select task, optimizer, avg(test), stddev_samp(test), count(test) from runs
            join best using (task, optimizer, setting) where seed >= {FIRST_REPORT_SEED} group by all""")
    return cells.fetchall()


def _lines(source: str) -> Iterator[bytes]:
    for path in glob.glob(source):
        with open(path, "rb") as file:
            yield from file


def _flat(record: dict[str, Any]) -> tuple[Any, ...]:
    scores = {score["name"]: score["value"] for score in record["scores"]}
    return (
        record["problem"]["task"],
        record["setting"]["optimizer"],
        record["digests"]["setting"],
        record["seed"],
        scores["test/accuracy"],
        scores["validation/accuracy"],
    )


def look_at_files(records: str) -> int:
    """How many bytes the record files have."""
    total = 0
    for shard in os.scandir(records):
        with os.scandir(shard) as files:
            total += sum(file.stat().st_size for file in files)
    return total


LIBRARIES = {"pandas": by_pandas, "polars": by_polars, "duckdb": by_duckdb}


def main() -> None:
    library, source, *records = sys.argv[1:]
    for folder in records:
        look_at_files(folder)
    for task, optimizer, mean, std, n in sorted(LIBRARIES[library](source)):
        print(f"{task} {optimizer} {mean:.9f} {std:.9f} {n}")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f}")


if __name__ == "__main__":
    main()
