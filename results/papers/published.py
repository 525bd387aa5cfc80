"""The published numbers: every results table of both papers, one CSV a table in results/papers/tables/."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from optathlon.results.errors import StoreError
from optathlon.results.record import flat

FOLDER = Path(__file__).resolve().parent / "tables"
HEADER = ["task", "optimizer", "setting", "metric", "unit", "mean", "std", "n", "table", "note"]


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a paper."""

    task: str
    optimizer: str
    """By this suite's names, like task and metric: "sgd" where a paper says SGDM."""
    setting: dict[str, Any]
    """Hyperparameters, in this suite's units, in which numbers of one task and optimizer differ, and what the paper
    changes of the protocol, as "protocol.length"."""
    metric: str
    unit: str
    mean: float
    std: float | None
    """As printed, with unknown ddof; None where the paper gives none, and n with it."""
    n: int | None
    table: str
    """Where it is printed: "AdamP Table 2, H.1"."""
    note: str

    def fits(self, setting: Mapping[str, Any]) -> bool:
        """Whether the hyperparameters that the number is told apart by are those of `setting`, as records hold it."""
        ours = flat(setting.get("hyperparameters", {})) | flat(setting.get("protocol", {}), "protocol.")
        missing = object()
        return all(_same(ours.get(key, missing), value) for key, value in self.setting.items())


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return math.isclose(ours, theirs, rel_tol=1e-9)
    return ours == theirs


def averaged_tasks(number: Published, numbers: Iterable[Published]) -> list[str]:
    """The tasks that `number` is an average over, by its note: "task-a" and "task-b" of its table for "task"."""
    if not number.note.startswith("average of"):
        return []
    same = (p for p in numbers if (p.table, p.optimizer, p.metric) == (number.table, number.optimizer, number.metric))
    return sorted({p.task for p in same if p.task.startswith(f"{number.task}-")})


def published(folder: Path = FOLDER) -> list[Published]:
    """All published numbers, by file and line; StoreError, with file and line, of one that cannot be read."""
    return [entry for path in sorted(folder.glob("*.csv")) for entry in _table(path)]


def _table(path: Path) -> list[Published]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        if (header := next(reader, [])) != HEADER:
            raise StoreError(f"{path}: has columns {header}, must be {HEADER}")
        entries = []
        for line in reader:
            try:
                entries.append(_entry(dict(zip(HEADER, line, strict=True))))
            except ValueError as error:
                raise StoreError(f"{path}, line {reader.line_num}: {error}") from None
        return entries


def _entry(line: dict[str, str]) -> Published:
    std, n = line["std"], line["n"]
    words = dict(_word(word) for word in line["setting"].split())
    numbers = {"mean": float(line["mean"]), "std": float(std) if std else None, "n": int(n) if n else None}
    return Published(**{**line, "setting": words, **numbers})


def _word(word: str) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    if not equals:
        raise ValueError(f"setting {word!r}: must be KEY=VALUE, values as in JSON")
    return key, json.loads(text)
