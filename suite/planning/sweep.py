"""A sweep file: tasks × optimizers × grids × seeds, read from TOML with every error caught before anything starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from optathlon import tasks
from optathlon.optimizers import Grid, OptimizerError, OptimizerSpec
from optathlon.optimizers.grid import flatten, is_space
from optathlon.suite.errors import SweepError
from optathlon.suite.planning.seeds import Seeds
from optathlon.tasks.registry import check

MOST_SETTINGS = 100_000


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One [[optimizer]] block."""

    label: str
    spec: OptimizerSpec
    grid: dict[str, Any]
    """Its grid tables as written, without `grid.protocol`."""
    protocol: dict[str, Any]
    """What it changes in every task's protocol."""
    probes: list[str] = []
    """What its runs measure beside the norms."""
    schedules: tuple[dict[str, Any], ...] = ({},)
    """Changes of the schedule that are tried, each with each setting of the grid."""
    cluster: dict[str, Any] = {}
    """What its workers are given instead of what the sweep's are; see planning.cluster_settings."""
    where: str
    """File and block, for messages."""

    def protocols(self) -> list[dict[str, Any]]:
        """The changes of the protocol that are tried, one per schedule."""
        return [self._with_schedule(schedule) for schedule in self.schedules]

    def _with_schedule(self, schedule: dict[str, Any]) -> dict[str, Any]:
        if not schedule:
            return self.protocol
        # A schedule with a kind is a whole one; without, it changes fields of the block's own, else of the task's.
        return {
            **self.protocol,
            "schedule": ({} if "kind" in schedule else self.protocol.get("schedule", {})) | schedule,
        }


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep file says, checked."""

    name: str
    tasks: list[tasks.Task]
    scale: str
    seeds: Seeds
    baseline: str | None
    """The label of the optimizer that differences are taken to."""
    canary: bool = False
    """Whether one run of each kind goes first; see planning.ready_runs."""
    budget: float | None = None
    """Hours of one slot that all of it may take."""
    entries: list[Entry]
    protocol: dict[str, Any]
    """Changes of every task's protocol."""
    override: dict[str, dict[str, Any]]
    """By task, which optimizers run it (`optimizers`, by label; default: all), changes of protocol, of cluster and, by
    optimizer label, of grids and of what the optimizer changes in the protocol."""
    cluster: dict[str, Any]
    """Where and with what workers run; see planning.cluster_settings."""
    table: dict[str, Any]
    """The printed layout as written; see planning.printed_table."""
    file: str
    toml: bytes

    def protocol_of(self, task: tasks.Task) -> tasks.Protocol:
        """The task's protocol at this scale with this sweep's changes; with tuning seeds, with a validation split."""
        changes = self.override.get(task.name, {}).get("protocol", {})
        try:
            protocol = task.protocol(self.scale).override(self.protocol).override(changes)
            protocol = protocol.with_validation() if self.seeds.tune else protocol
            check(task, protocol)
            return protocol
        except tasks.TaskError as error:
            raise SweepError(f"{self.file}: {task.name}: {error}") from None

    def entries_on(self, task: tasks.Task) -> list[Entry]:
        """The blocks that run `task`, each with what it changes in the protocol there."""
        changes = self.override.get(task.name, {})
        chosen = changes.get("optimizers", [entry.label for entry in self.entries])
        entries = [entry for entry in self.entries if entry.label in chosen]
        own = {entry.label: changes.get(entry.label, {}).get("protocol", {}) for entry in entries}
        return [msgspec.structs.replace(e, protocol=_merged(e.protocol, own[e.label])) for e in entries]

    def settings(self, entry: Entry, task: tasks.Task) -> list[dict[str, Any]]:
        """Every setting of `entry` on `task`, as resolved hyperparameters."""
        changes = self.override.get(task.name, {}).get(entry.label, {})
        where = f"{self.file}: override.{task.name}.{entry.label}" if changes else entry.where
        try:
            return settings_of(overridden(entry.grid, changes), where, entry.spec)
        except OptimizerError as error:
            raise SweepError(str(error)) from None


def _merged(protocol: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`protocol` with `changes`: settings and tags one by one, a schedule as a whole."""
    merged = dict(protocol)
    for key, value in changes.items():
        by_parts = key in ("settings", "tags") and isinstance(value, Mapping)
        merged[key] = {**merged.get(key, {}), **value} if by_parts else value
    return merged


def settings_of(table: Mapping[str, Any], where: str, spec: OptimizerSpec) -> list[dict[str, Any]]:
    """Every setting of `spec` in a grid's table; OptimizerError, before any is made, if there are too many to list."""
    grid = Grid.parse(table, where)
    lists = [grid.zip or [{}], range(grid.random.trials if grid.random else 1), *grid.grid.values()]
    if (count := math.prod(map(len, lists))) > MOST_SETTINGS:
        raise OptimizerError(f"{where}: {spec.name} has {count:,} settings; a sweep lists at most {MOST_SETTINGS:,}")
    return grid.settings(spec)


def overridden(grid: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`grid` with the keys that `changes` mentions taken from there, wherever they stood."""
    merged = {key: (flatten(value, leaf=is_space) if isinstance(value, dict) else value) for key, value in grid.items()}
    for word in ("fixed", "grid"):
        for key, value in flatten(changes.get(word, {})).items():
            for other in ("fixed", "grid", "random"):
                merged.get(other, {}).pop(key, None)
            merged.setdefault(word, {})[key] = value
    for word in ("zip", "random"):
        if word in changes:
            merged[word] = changes[word]
    if set(merged.get("random", {})) <= {"trials", "seed"}:
        merged.pop("random", None)
    return merged
