"""The run that `optathlon run` is asked for in words: task, optimizer, KEY=VALUE, scale, seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from optathlon.suite.errors import UsageError
from optathlon.suite.identity import Run, optimizer_of, task_of
from optathlon.suite.planning.plan import problem_of, setting_of
from optathlon.suite.planning.sweep_reader import flat_tags
from optathlon.suite.planning.toml_value import toml_value
from optathlon.suite.probes import check_probes


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What `optathlon run` is told: names, values as KEY=VALUE, scale, seed and probes."""

    task: str
    optimizer: str
    values: Sequence[str] = ()
    scale: str = "paper"
    seed: int = 0
    probes: Sequence[str] = ()


def described_run(words: Words, data: Path | Mapping[str, str]) -> Run:
    """Returns the run that `words` describe, resolved and checked; UsageError for a word that cannot be.

    data: the folder whose editions it is on, or the editions themselves.
    """
    task, spec = task_of(words.task), optimizer_of(words.optimizer)
    values, changes = {}, {}
    for key, value in key_values(words.values).items():
        if key.startswith("protocol."):
            nest(changes, key.split(".")[1:], value)
        else:
            values[key] = value
    if not 0 <= words.seed < 2**63:
        raise UsageError(f"--seed {words.seed}: must be a whole number from 0 to 2^63 - 1")
    protocol = task.protocol(words.scale).override(flat_tags(changes, [spec]))
    problem = problem_of(task, words.scale, protocol, data if isinstance(data, Path) else Path())
    if not isinstance(data, Path):
        problem = msgspec.structs.replace(problem, data=dict(data))
    setting = setting_of(problem, spec, spec.resolve(values), spec.protocol, check_probes(words.probes))
    return Run(problem=problem, setting=setting, seed=words.seed)


def key_values(words: Iterable[str]) -> dict[str, Any]:
    """Reads each KEY=VALUE of `words`; UsageError for a word that is none."""
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"{word!r}: must be KEY=VALUE, lr=1e-3")
        values[key] = toml_value(text)
    return values


def nest(table: dict[str, Any], keys: list[str], value: Any) -> None:
    """Put `value` into nested tables under `keys`; UsageError if one of them has a value already."""
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise UsageError(f"protocol.{'.'.join(keys)}: {key} is given twice")
    table[keys[-1]] = value
