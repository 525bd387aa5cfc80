"""Reads a sweep file, and refuses what it cannot mean."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optathlon import tasks
from optathlon.optimizers import OptimizerError, OptimizerSpec
from optathlon.optimizers.grid import default_table, flatten
from optathlon.suite.errors import SweepError, UsageError, hint
from optathlon.suite.identity import optimizer_of, task_of
from optathlon.suite.planning import cluster_settings
from optathlon.suite.planning.rescaling import rescaled
from optathlon.suite.planning.seeds import ONCE, Seeds, read_seeds
from optathlon.suite.planning.sweep import Entry, Sweep, overridden, settings_of
from optathlon.suite.probes import check_probes
from optathlon.suite.user_modules import look_beside

KEYS = (
    "name", "summary", "tasks", "scale", "seeds", "select", "baseline", "canary", "budget", "optimizer", "protocol",
    "override", "cluster", "probes", "table", "figure",
)  # fmt: skip
OPTIMIZER_KEYS = ("name", "label", "protocol", "grid", "fixed", "zip", "random", "probes", "cluster")
GRID_KEYS = ("fixed", "grid", "zip", "random")
OVERRIDE_KEYS = ("optimizers", "protocol", "cluster")
"""What `[override."TASK"]` says beside an optimizer's label."""
BUILT_IN = Path(__file__).resolve().parent.parent / "sweeps"


def find(name: str) -> Path:
    """Returns the sweep file that `name` says: a path, or a built-in sweep by its place (`adarem/table-3`) or by the
    name that it has in a store (`adarem-ptb`). SweepError if there is none."""
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise SweepError(f"{name}: no such sweep file")
        return path
    if name in (places := built_in()):
        return BUILT_IN / f"{name}.toml"
    # `status` and `leaderboard` print the name in the store, and people launch again what they read there.
    by_own_name = {_own_name(BUILT_IN / f"{place}.toml"): place for place in places}
    if name in by_own_name:
        return BUILT_IN / f"{by_own_name[name]}.toml"
    raise SweepError(f"unknown sweep {name!r}: neither a file nor built in{hint(name, places)}")


def built_in() -> list[str]:
    """Returns the places of the built-in sweeps, sorted: "quickstart", "adarem/table-3"."""
    return sorted(path.relative_to(BUILT_IN).with_suffix("").as_posix() for path in BUILT_IN.rglob("*.toml"))


def name_of(given: str) -> str:
    """Returns the name in a store of a launched sweep, given by that name, by its file or by a built-in's place, also
    at another scale: "adamp-table-2-smoke" of "adamp/table-2-smoke"."""
    base, mark = _without_scale(given)
    return _own_name(find(base)) + mark if given.endswith(".toml") or base in built_in() else given


def _without_scale(given: str) -> tuple[str, str]:
    """What a sweep's name is without the scale that `rescaled` puts behind it, and what it puts: "-smoke", or ""."""
    base, dash, scale = given.rpartition("-")
    return (base, dash + scale) if dash and scale in tasks.SCALES and given not in built_in() else (given, "")


def figure_of(name: str) -> tuple[str, list[str]]:
    """Returns a sweep's name in a store and the curves of its [figure]; SweepError if it has none."""
    name, mark = _without_scale(name)
    path = find(name)
    curves = _figure(str(path), _read(path)[1].get("figure"))
    if not curves:
        raise SweepError(f'{path}: has no [figure]; curves = ["model/effective_step"] there names what to draw')
    return _own_name(path) + mark, curves


def _figure(file: str, figure: Any) -> list[str]:
    if figure is None:
        return []
    curves = figure.get("curves") if isinstance(figure, dict) and set(figure) <= {"curves"} else None
    if not isinstance(curves, list) or not curves or not all(isinstance(name, str) for name in curves):
        raise SweepError(f'{file}: figure: must be curves = ["train/loss", ...], the names of recorded curves')
    return curves


def _own_name(path: Path) -> str:
    return str(_read(path)[1].get("name", _default_name(path)))


def _default_name(path: Path) -> str:
    """The name of a sweep whose file gives none. A store's folders are flat: adamp/table-2 is adamp-table-2 there."""
    path = path.resolve()
    return "-".join(path.relative_to(BUILT_IN).with_suffix("").parts) if path.is_relative_to(BUILT_IN) else path.stem


def load(path: Path, scale: str | None = None) -> Sweep:
    """Read and check the sweep file at `path`; SweepError names file, field, value and what would be right.

    `module:NAME` entries are also looked for beside the file. scale: instead of the file's; another scale is a sweep
    of its own, called as the file's with "-smoke" behind: see `rescaled`.
    """
    data, table = _read(path)
    if scale is not None and scale != table.get("scale", "paper"):
        data = rescaled(path, data, table, scale)
        table = tomllib.loads(data.decode())
    look_beside(path.parent)
    return _Reader(str(path), data, table).sweep()


def _read(path: Path) -> tuple[bytes, dict[str, Any]]:
    try:
        data = path.read_bytes()
        return data, tomllib.loads(data.decode("utf-8-sig"))  # some editors write a byte order mark
    except (OSError, ValueError, RecursionError) as error:  # a ValueError also for numbers of thousands of digits
        raise SweepError(f"{path}: unreadable: {error}") from None


def flat_tags(changes: Mapping[str, Any], specs: Iterable[OptimizerSpec]) -> dict[str, Any]:
    """Changes of a protocol with its options by tag flat, {"norm.weight_decay": 0.0}, as a protocol has them.

    UsageError if one is an option of none of `specs`, on which it would have no effect.
    """
    tags = changes.get("tags")
    if not isinstance(tags, Mapping):
        return dict(changes)
    known = dict.fromkeys(["lr_scale", *(name for spec in specs for name in spec.hyperparameters)])
    for key in (flat := flatten(tags)):
        tag, dot, option = key.partition(".")
        if not dot:
            raise UsageError(f"protocol.tags.{tag}: must name an option of the tag too, {tag}.weight_decay")
        if option not in known:
            raise UsageError(f"protocol.tags.{key}: no optimizer here has an option {option!r}{hint(option, known)}")
    return {**changes, "tags": flat}


class _Reader:
    def __init__(self, file: str, data: bytes, table: Mapping[str, Any]) -> None:
        self.file, self.data, self.table = file, data, table

    def sweep(self) -> Sweep:
        self._only(self.table, KEYS, "")
        self._text("summary", None)
        _figure(self.file, self.table.get("figure"))
        tasks_named = self._tasks()
        entries = self._entries()
        labels = [e.label for e in entries]
        baseline = self._text("baseline", None)
        if baseline is not None and baseline not in labels:
            raise self._error(f"baseline: {baseline!r} is none of this sweep's optimizers{hint(baseline, labels)}")
        scale = self._text("scale", "paper")
        if scale not in tasks.SCALES:
            raise self._error(f"scale: {scale!r} is not a scale{hint(scale, tasks.SCALES)}")
        name = self._text("name", _default_name(Path(self.file)))
        if (
            not 0 < len(name) <= 100
            or not all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
            or name.startswith(".")
        ):
            raise self._error(f"name: {name!r} must consist of letters (a to z), digits, '.', '_' and '-'")
        return Sweep(
            name=name,
            tasks=tasks_named,
            scale=scale,
            seeds=self._seeds(),
            baseline=baseline or labels[0],
            canary=self._canary(),
            budget=self._budget(),
            entries=entries,
            protocol=self._protocol(self.table, "", [e.spec for e in entries]),
            override=self._override([t.name for t in tasks_named], entries),
            cluster=self._cluster(self._table("cluster"), "cluster.", cluster_settings.PARSERS),
            table=self._table("table"),
            file=self.file,
            toml=self.data,
        )

    def _tasks(self) -> list[tasks.Task]:
        names = self.table.get("tasks")
        if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
            raise self._error(f'tasks: must be a list of task names, ["biased-mnist-0.990", ...], not {names!r}')
        by_name: dict[str, tasks.Task] = {}
        for position, name in enumerate(names):
            try:
                matches = tasks.names(name) if "*" in name else [name]
                if not matches:
                    raise tasks.TaskError(f"no task matches {name!r}{hint(name, tasks.names())}")
                for match in matches:
                    by_name[match] = task_of(match)
            except tasks.TaskError as error:
                raise self._error(f"tasks[{position}]: {error}") from None
        if len(set(names)) < len(names):
            raise self._error(f"tasks: {next(n for n in names if names.count(n) > 1)!r} stands twice")
        return list(by_name.values())

    def _entries(self) -> list[Entry]:
        blocks = self.table.get("optimizer")
        if not isinstance(blocks, list) or not blocks or not all(isinstance(b, dict) for b in blocks):
            raise self._error("optimizer: must be one or more [[optimizer]] blocks")
        entries: list[Entry] = []
        for number, block in enumerate(blocks):
            entry = self._entry(block, number)
            if entry.label in (e.label for e in entries):
                raise self._error(
                    f"optimizer[{number}].label: {entry.label!r} stands twice; give each block its own label"
                )
            entries.append(entry)
        return entries

    def _entry(self, block: Mapping[str, Any], number: int) -> Entry:
        where = f"optimizer[{number}]"
        self._only(block, OPTIMIZER_KEYS, f"{where}.")
        name = block.get("name")
        if not isinstance(name, str):
            raise self._error(f'{where}.name: must be an optimizer\'s name, "adamw", not {name!r}')
        label = block.get("label", name)
        if not isinstance(label, str) or not label.isprintable() or label in ("", *OVERRIDE_KEYS):
            complaint = f"must be text on one line, and none of {', '.join(OVERRIDE_KEYS)}"
            raise self._error(f"{where}.label: {complaint}; it is {label!r}")
        try:
            spec = optimizer_of(name)
            grid = {key: block[key] for key in GRID_KEYS if key in block}
            if grid.get("grid") == "default":
                self._table("fixed", block, f"{where}.")
                if beside := [word for word in ("zip", "random") if word in grid]:
                    complaint = 'stands beside grid = "default", which brings all that is tried; write the grid out'
                    raise self._error(f"{where}.{beside[0]}: {complaint}")
                grid = overridden(default_table(name), {"fixed": grid.get("fixed", {})})
            schedules, grid = self._schedules(grid, where)
            self._not_empty(grid, where)
            settings_of(grid, f"{self.file}: {where}", spec)
        except OptimizerError as error:
            text = str(error)
            raise SweepError(text if text.startswith(self.file) else f"{self.file}: {where}: {text}") from None
        protocol = {**spec.protocol, **self._protocol(block, f"{where}.", [spec])}
        probes = self._probes(block, f"{where}.")
        cluster = self._cluster(
            self._table("cluster", block, f"{where}."), f"{where}.cluster.", cluster_settings.PER_SHAPE
        )
        return Entry(
            label=label,
            spec=spec,
            grid=grid,
            protocol=protocol,
            probes=probes,
            schedules=schedules,
            cluster=cluster,
            where=f"{self.file}: {where}",
        )

    def _schedules(self, grid: dict[str, Any], where: str) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
        """The schedules of `grid.protocol.schedule`, a list of them or lists of single fields, and the grid without."""
        words = grid.get("grid")
        if not isinstance(words, dict) or "protocol" not in words:
            return ({},), grid
        axis, place = words["protocol"], f"{where}.grid.protocol"
        if not isinstance(axis, dict):
            raise self._error(f"{place}: must be a table, not {axis!r}")
        self._only(axis, ("schedule",), f"{place}.")
        schedules = axis.get("schedule")
        if isinstance(schedules, dict) and all(isinstance(v, list) for v in schedules.values()):
            fields = [[(key, value) for value in values] for key, values in schedules.items()]
            schedules = [dict(combination) for combination in itertools.product(*fields)]
        if not isinstance(schedules, list) or not schedules or not all(isinstance(s, dict) and s for s in schedules):
            form = '[{kind = "cosine"}, ...], or of a field a list: schedule.warmup = [0, 5]'
            raise self._error(f"{place}.schedule: must be a list of schedules, {form}")
        return tuple(schedules), {**grid, "grid": {key: value for key, value in words.items() if key != "protocol"}}

    def _probes(self, block: Mapping[str, Any], where: str) -> list[str]:
        """Those of the whole sweep and those of an optimizer's `block`."""
        probes: list[str] = []
        for table, place in ((self.table, ""), (block, where)):
            try:
                probes += check_probes(table.get("probes", []))
            except UsageError as error:
                raise self._error(f"{place}{error}") from None
        return sorted(set(probes))

    def _seeds(self) -> Seeds:
        try:
            return read_seeds(self.table.get("seeds", [0]), self.table.get("select", ONCE))
        except UsageError as error:
            raise self._error(str(error)) from None

    def _override(self, names: list[str], entries: Iterable[Entry]) -> dict[str, dict[str, Any]]:
        override, specs = self._table("override"), {e.label: e.spec for e in entries}
        for task, changes in override.items():
            if task not in names:
                raise self._error(f"override.{task}: is none of this sweep's tasks{hint(task, names)}")
            if not isinstance(changes, dict):
                raise self._error(f"override.{task}: must be a table, not {changes!r}")
            self._only(changes, (*OVERRIDE_KEYS, *specs), f"override.{task}.")
            for key, change in changes.items():
                changes[key] = self._task_override(task, key, change, specs)
        running = {label for task in names for label in override.get(task, {}).get("optimizers", specs)}
        if idle := [label for label in specs if label not in running]:
            raise self._error(f"override: {idle[0]!r} runs no task; leave its block out")
        return override

    def _task_override(self, task: str, key: str, change: Any, specs: Mapping[str, OptimizerSpec]) -> Any:
        """What `key` of `[override."TASK"]` says, checked."""
        where = f"override.{task}.{key}"
        if key == "optimizers":
            if not isinstance(change, list) or not change or not all(isinstance(label, str) for label in change):
                raise self._error(f"{where}: must be a list of this sweep's optimizers, not {change!r}")
            for label in change:
                if label not in specs:
                    raise self._error(f"{where}: {label!r} is none of this sweep's optimizers{hint(label, specs)}")
            return change
        if not isinstance(change, dict):
            raise self._error(f"{where}: must be a table, not {change!r}")
        if key == "cluster":
            return self._cluster(change, f"{where}.", cluster_settings.PER_SHAPE)
        if key == "protocol":
            return self._protocol({key: change}, f"override.{task}.", specs.values())
        self._only(change, (*GRID_KEYS, "protocol"), f"{where}.")
        for word in ("fixed", "grid", "random"):
            self._table(word, change, f"{where}.")
        self._not_empty({word: change[word] for word in GRID_KEYS if word in change}, where)
        own = {"protocol": self._protocol(change, f"{where}.", [specs[key]])} if "protocol" in change else {}
        return {**change, **own}

    def _protocol(self, table: Mapping[str, Any], where: str, specs: Iterable[OptimizerSpec]) -> dict[str, Any]:
        try:
            return flat_tags(self._table("protocol", table, where), specs)
        except UsageError as error:
            raise self._error(f"{where}{error}") from None

    def _not_empty(self, table: Mapping[str, Any], where: str) -> None:
        """Refuse {} for a value, which would be left out without a word."""
        for key, value in table.items():
            if isinstance(value, dict):
                for inner, of_inner in value.items():
                    if of_inner == {}:
                        raise self._error(f"{where}.{key}.{inner}: is an empty table; it must have a value")
                self._not_empty(value, f"{where}.{key}")

    def _cluster(self, table: Mapping[str, Any], prefix: str, keys: Iterable[str]) -> dict[str, Any]:
        try:
            return cluster_settings.parse(table, self.file, prefix, keys)
        except UsageError as error:
            raise SweepError(str(error)) from None

    def _table(self, key: str, table: Mapping[str, Any] | None = None, where: str = "") -> dict[str, Any]:
        value = (self.table if table is None else table).get(key, {})
        if not isinstance(value, dict):
            raise self._error(f"{where}{key}: must be a table, not {value!r}")
        return value

    def _text(self, key: str, default: Any) -> Any:
        value = self.table.get(key, default)
        if value is not default and not isinstance(value, str):
            raise self._error(f"{key}: must be text, not {value!r}")
        return value

    def _canary(self) -> bool:
        canary = self.table.get("canary", False)
        if not isinstance(canary, bool):
            raise self._error(f"canary: must be true or false, not {canary!r}")
        return canary

    def _budget(self) -> float | None:
        table = self._table("budget")
        self._only(table, ("hours",), "budget.")
        hours = table.get("hours")
        if hours is not None and (isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours < 1e9):
            raise self._error(f"budget.hours: must be a number above 0, hours of one slot, not {hours!r}")
        return None if hours is None else float(hours)

    def _only(self, table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
        for key in table:
            if key not in known:
                raise self._error(f"{where}{key}: unknown{hint(key, known)}")

    def _error(self, message: str) -> SweepError:
        return SweepError(f"{self.file}: {message}")
