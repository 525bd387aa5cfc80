"""Records as one Parquet file, for notebooks and databases; the store itself never reads it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from optathlon.results.record import Record, flat, hyperparameters
from optathlon.results.references import References
from optathlon.results.store.files import hand_out

SCHEMA = 1


PLACE = {
    "sweep": "string", "row": "string", "role": "string", "metric": "string", "unit": "string",
    "higher_is_better": "bool", "score": "double", "problem_id": "string", "setting_id": "string",
}  # fmt: skip
"""What a record does not say of itself, with types: its place in a sweep, and the headline score there."""

Place = Mapping[str, Any]


def columns(records: Sequence[Record], places: Sequence[Place] = ()) -> dict[str, list[Any]]:
    """One list a column, one value a record: what the run is, what it came to, every score and hyperparameter.

    places: one per record, for the columns of PLACE; without any, these are left out.

    "score.test/accuracy" has None where a run has no such score or diverged. "hyperparameter.lr" holds floats if every
    value is a number, else JSON; "cost.seconds_per_update" and the like what `provenance.cost` tells, None in records
    without it. problem, setting and provenance are whole, as JSON.
    """
    table: dict[str, list[Any]] = {
        "run": [r.id for r in records],
        "task": [str(r.problem.get("task", "")) for r in records],
        "scale": [str(r.problem.get("scale", "")) for r in records],
        "optimizer": [str(r.setting.get("optimizer", "")) for r in records],
        "seed": [r.seed for r in records],
        "status": [r.status for r in records],
        "headline": [r.headline for r in records],
        "selection": [r.selection for r in records],
        "updates": [r.updates for r in records],
        "diverged_at": [r.diverged_at for r in records],
        "problem_digest": [r.digests.problem for r in records],
        "setting_digest": [r.digests.setting for r in records],
    } | ({name: [place.get(name) for place in places] for name in PLACE} if places else {})
    scores = [{s.name: s.value for s in r.scores} for r in records]
    settings = [hyperparameters(r.setting) for r in records]
    costs = [flat(cost) if isinstance(cost := r.provenance.get("cost"), Mapping) else {} for r in records]
    for name in sorted({name for of_one in scores for name in of_one}):
        table[f"score.{name}"] = [None if (v := of_one.get(name)) is None else float(v) for of_one in scores]
    for name in sorted({name for of_one in settings for name in of_one}):
        table[f"hyperparameter.{name}"] = _alike([of_one.get(name) for of_one in settings])
    for name in sorted({name for of_one in costs for name in of_one}):
        table[f"cost.{name}"] = [_number(of_one.get(name)) for of_one in costs]
    for name in ("problem", "setting", "provenance"):
        table[name] = [_json(getattr(r, name)) for r in records]
    return table


def write_parquet(
    records: Sequence[Record],
    path: Path,
    references: Mapping[str, References] = MappingProxyType({}),
    places: Sequence[Place] = (),
) -> None:
    """Write `columns` of `records` to `path`, compressed with zstd; the file's metadata say the schema and, as JSON,
    what each reference model of each problem scores."""
    import pyarrow as pa

    types = {"seed": pa.int64(), "updates": pa.int64(), "diverged_at": pa.int64()}
    types |= {name: pa.type_for_alias(alias) for name, alias in PLACE.items()}
    arrays = {name: _array(pa, name, values, types) for name, values in columns(records, places).items()}
    models = {problem: of_problem.models for problem, of_problem in references.items()}
    metadata = {"optathlon.schema": str(SCHEMA), "optathlon.references": _json(models)}
    _hand_out(pa.table(arrays).replace_schema_metadata(metadata), path)


def write_curves(curves: Any, path: Path) -> None:
    """Write the DataFrame `curves`, a line per point, to `path`, compressed with zstd."""
    import pyarrow as pa

    _hand_out(pa.Table.from_pandas(curves, preserve_index=False), path)


def _hand_out(table: Any, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = pa.BufferOutputStream()
    pq.write_table(table, written, compression="zstd")
    hand_out(path, written.getvalue().to_pybytes())


def _array(pa: Any, name: str, values: list[Any], types: dict[str, Any]) -> Any:
    numeric = name.startswith(("score.", "cost.")) or (
        name.startswith("hyperparameter.") and all(v is None or isinstance(v, float) for v in values)
    )
    return pa.array(values, types.get(name, pa.float64() if numeric else pa.string()))


def _alike(values: list[Any]) -> list[Any]:
    if all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in values):
        with contextlib.suppress(OverflowError):  # an integer beyond every float
            return [None if v is None else float(v) for v in values]
    return [None if v is None else _json(v) for v in values]


def _number(value: Any) -> float | None:
    with contextlib.suppress(OverflowError):  # an integer beyond every float
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    return None


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
