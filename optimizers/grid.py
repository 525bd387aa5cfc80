"""The settings of an optimizer that a sweep tries: fixed values, products, tuples that move together, random draws."""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from optathlon.optimizers import halton
from optathlon.optimizers.errors import OptimizerError, did_you_mean
from optathlon.optimizers.spec import OptimizerSpec

_WORDS = ("fixed", "grid", "zip", "random")
_SPACES = ("log", "uniform", "choice")


class Random(msgspec.Struct, frozen=True):
    """Points of a scrambled Halton sequence."""

    trials: int
    """How many points."""
    seed: int
    spaces: dict[str, tuple[str, list[Any]]]
    """By hyperparameter, what a point is mapped to: ("log", [a, b]), ("uniform", [a, b]) or ("choice", [values])."""


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """The settings to try: every combination of `grid`'s lists with every row of `zip` and every random draw.

    Keys are hyperparameters, and options by tag such as "gain.projection".
    """

    fixed: dict[str, Any] = {}
    """Values that all settings share."""
    grid: dict[str, list[Any]] = {}
    """Values that are combined freely."""
    zip: list[dict[str, Any]] = []
    """Values that go together, a table per row."""
    random: Random | None = None
    where: str = ""
    """How errors begin: the file and table that this grid was read from."""

    def __post_init__(self) -> None:
        for key, values in self.grid.items():
            if not isinstance(values, list) or not values:
                raise self._error(f"grid.{key} must be a list of values to try, not {values!r}")
        for row in self.zip:
            if row.keys() != self.zip[0].keys():
                raise self._error(f"zip: every row must have the keys {sorted(self.zip[0])}, not {sorted(row)}")
        first_word: dict[str, str] = {}
        for word, keys in self._keys().items():
            for key in keys:
                if key in first_word:
                    raise self._error(f"{key} stands in both {first_word[key]} and {word}")
                first_word[key] = word

    @classmethod
    def parse(cls, table: Mapping[str, Any], where: str) -> Grid:
        """Reads a TOML table with the keys fixed, grid, zip and random; errors begin with `where`."""
        for key in table:
            if key not in _WORDS:
                raise OptimizerError(f"{where}: unknown key {key!r}{did_you_mean(key, _WORDS)}")
        fixed, grid, random = (_table(table, word, where) for word in ("fixed", "grid", "random"))
        rows = table.get("zip")
        if rows is not None and (
            not isinstance(rows, list) or not rows or not all(isinstance(r, Mapping) for r in rows)
        ):
            raise OptimizerError(f"{where}: zip must be a list of tables, [{{lr = 0.1, weight_decay = 1e-4}}, ...]")
        return cls(
            fixed=flatten(fixed),
            grid=flatten(grid),
            zip=[flatten(row) for row in rows or []],
            random=_random(random, where) if "random" in table else None,
            where=where,
        )

    def settings(self, spec: OptimizerSpec) -> list[dict[str, Any]]:
        """Returns every setting, resolved by `spec`, in a stable order; the last list of `grid` varies fastest."""
        resolved: dict[str, dict[str, Any]] = {}
        for values in self._points(spec):
            try:
                setting = spec.resolve(values)
            except OptimizerError as error:
                raise self._error(str(error)) from None
            digest = repr(list(setting.items()))
            if digest in resolved:
                raise self._error(f"{spec.name}: two settings are the same: {values}")
            resolved[digest] = setting
        return list(resolved.values())

    def _points(self, spec: OptimizerSpec) -> Iterator[dict[str, Any]]:
        draws = _draw(self.random, spec) if self.random else [{}]
        for row, draw in itertools.product(self.zip or [{}], draws):
            for values in itertools.product(*self.grid.values()):
                yield self.fixed | row | draw | dict(zip(self.grid, values, strict=True))

    def _keys(self) -> dict[str, Sequence[str]]:
        return {
            "fixed": list(self.fixed),
            "grid": list(self.grid),
            "zip": list(self.zip[0]) if self.zip else [],
            "random": list(self.random.spaces) if self.random else [],
        }

    def _error(self, message: str) -> OptimizerError:
        return OptimizerError(f"{self.where}: {message}" if self.where else message)


def default_grid(name: str) -> Grid:
    """Returns the grid that comes with the built-in optimizer `name`."""
    return Grid.parse(default_table(name), f"grids/{name}.toml")


def default_table(name: str) -> dict[str, Any]:
    """Returns that grid as its TOML table; raises OptimizerError if there is none."""
    # Only here, as it takes longer to import than the rest of this room.
    from importlib.resources import files

    folder = files(__name__.rpartition(".")[0]) / "grids"
    file = folder / f"{name}.toml"
    if not file.is_file():
        known = [f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")]
        raise OptimizerError(f"{name}: has no default grid{did_you_mean(name, known)}")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _table(table: Mapping[str, Any], word: str, where: str) -> Mapping[str, Any]:
    value = table.get(word, {})
    if not isinstance(value, Mapping):
        raise OptimizerError(f"{where}: {word} must be a table, not {value!r}")
    return value


def flatten(
    table: Mapping[str, Any], prefix: str = "", leaf: Callable[[Mapping[str, Any]], bool] = lambda value: False
) -> dict[str, Any]:
    """Turns {"gain": {"projection": "off"}} into {"gain.projection": "off"}; tables that are a `leaf` stay whole."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and not leaf(value):
            flat |= flatten(value, f"{prefix}{key}.", leaf)
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def is_space(value: Mapping[str, Any]) -> bool:
    """Whether a table of `random` says how to draw one value, {"log": [a, b]}; otherwise it holds a tag's options."""
    return any(kind in value for kind in _SPACES)


def _random(table: Mapping[str, Any], where: str) -> Random:
    spaces = {key: value for key, value in table.items() if key not in ("trials", "seed")}
    counts = {}
    for key, least in (("trials", 1), ("seed", 0)):
        counts[key] = table.get(key)
        if type(counts[key]) is not int or counts[key] < least:
            raise OptimizerError(f"{where}: random.{key} must be an integer of at least {least}, not {counts[key]!r}")
    if not spaces:
        raise OptimizerError(f"{where}: random draws nothing; give it a key such as lr = {{log = [1e-4, 1e-1]}}")
    flat = flatten(spaces, leaf=is_space)
    return Random(**counts, spaces={key: _space(value, f"{where}: random.{key}") for key, value in flat.items()})


def _space(value: Any, where: str) -> tuple[str, list[Any]]:
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in _SPACES:
        raise OptimizerError(
            f"{where} must be {{log = [a, b]}}, {{uniform = [a, b]}} or {{choice = [...]}}, not {value!r}"
        )
    ((kind, bounds),) = value.items()
    if not isinstance(bounds, list) or not bounds:
        raise OptimizerError(f"{where}.{kind} must be a list, not {bounds!r}")
    if kind == "choice":
        return kind, bounds
    finite = len(bounds) == 2 and all(type(b) in (int, float) and math.isfinite(b) for b in bounds)
    if not finite or bounds[0] >= bounds[1] or (kind == "log" and bounds[0] <= 0):
        least = " with 0 < a" if kind == "log" else ""
        raise OptimizerError(f"{where}.{kind} must be two numbers a < b{least}, not {bounds!r}")
    return kind, bounds


def _draw(random: Random, spec: OptimizerSpec) -> list[dict[str, Any]]:
    keys = sorted(random.spaces)
    return [
        {key: _place(u, *random.spaces[key], _is_int(spec, key)) for key, u in zip(keys, point, strict=True)}
        for point in halton.points(random.trials, len(keys), random.seed)
    ]


def _place(u: float, kind: str, bounds: list[Any], integer: bool) -> Any:
    """Returns the value at `u` in [0, 1) of a space, floats to 6 significant digits."""
    if kind == "choice":
        return bounds[int(u * len(bounds))]
    low, high = bounds
    if integer:
        high = high + 1
    value = low * (high / low) ** u if kind == "log" else low + (high - low) * u
    return math.floor(value) if integer else float(f"{value:.6g}")


def _is_int(spec: OptimizerSpec, key: str) -> bool:
    declared = spec.hyperparameters.get(key.rpartition(".")[2])
    return declared is not None and declared.type == "int"
