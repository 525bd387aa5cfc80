"""Where a sweep's workers run and what each is given: the sweep's [cluster] table over the user's own file, the command
line over both. Everything is checked before anything is written or submitted."""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from optathlon.slurm.cluster import Resources
from optathlon.suite.errors import UsageError, hint
from optathlon.suite.planning.toml_value import toml_value

Table = dict[str, Any]
WORKERS = 256  # submitit's own array_parallelism
MARGIN = 60  # Slurm sends a signal up to a minute before it is due


@dataclasses.dataclass(frozen=True)
class Settings:
    """How workers are submitted."""

    kind: str = "local"
    """ "local" or "slurm"."""
    workers: int = WORKERS
    """At most so many at once."""
    slots: int | None = None
    """Runs at once in one worker."""
    chain: int = 0
    """So many follow-up jobs wait behind the last, for clusters that do not requeue."""
    resources: Resources = dataclasses.field(default_factory=Resources)

    @property
    def at_once(self) -> int:
        """Runs that one worker carries out at once on a Slurm cluster: one a GPU, unless `slots` says otherwise."""
        alone = self.resources.nodes * self.resources.processes > 1
        return 1 if alone else self.slots or max(1, _number(self.resources.gpus))


def user_file() -> Path:
    """Where a user's own settings for all sweeps are, if anywhere."""
    given = Path(os.environ.get("XDG_CONFIG_HOME", ""))  # "must be absolute": XDG Base Directory Specification
    folder = given if given.is_absolute() else Path(os.path.expanduser("~")) / ".config"
    return folder / "optathlon" / "cluster.toml"


def user_table() -> Table:
    """The user's own settings, checked; none without a file."""
    path = user_file()
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")), str(path), "")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: unreadable: {error}") from None


def given_table(words: Iterable[str], kind: str | None, slots: int | None) -> Table:
    """What the command line says: KEY=VALUE words, --on and --slots."""
    table: Table = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"--cluster {word!r}: must be KEY=VALUE, partition=gpu")
        inner = table
        *outer, last = key.removeprefix("cluster.").split(".", 1)
        for name in outer:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise UsageError(f"--cluster {word!r}: {name} has a value already")
        value = toml_value(text)
        inner[last] = text if PARSERS.get(last) is _text and not isinstance(value, str) else value
    table |= {} if kind is None else {"kind": kind}
    table |= {} if slots is None else {"slots": slots}
    return parse(table, "--cluster", "")


def parse(table: Mapping[str, Any], where: str, prefix: str = "cluster.", keys: Iterable[str] = ()) -> Table:
    """`table` with every value checked and in one form; UsageError names `where`, key, value and what is right."""
    known = tuple(keys) or tuple(PARSERS)
    parsed = {}
    for key, value in table.items():
        if key not in known:
            raise UsageError(f"{where}: {prefix}{key}: unknown{hint(key, known)}")
        try:
            parsed[key] = PARSERS[key](value)
        except ValueError as error:
            raise UsageError(f"{where}: {prefix}{key}: {error}, not {value!r}") from None
    return parsed


def settings(tables: Iterable[Table], data_workers: int = 0) -> Settings:
    """The settings that `tables` make, a later one over an earlier, for runs with so many processes that load data."""
    merged: Table = {}
    for table in tables:
        merged |= {
            **table,
            **({"sbatch": {**merged.get("sbatch", {}), **table["sbatch"]}} if "sbatch" in table else {}),
        }
    own = {key: merged.pop(key) for key in OWN if key in merged}
    if (minutes := merged.pop("time", None)) is not None:
        merged["minutes"] = minutes
    made = Settings(**own, resources=Resources(**merged))
    _fit(made)
    if "cpus" not in merged:
        resources = dataclasses.replace(made.resources, cpus=made.at_once * (1 + data_workers))
        made = dataclasses.replace(made, resources=resources)
    return made


def _fit(made: Settings) -> None:
    asked = made.resources
    if asked.minutes is not None and asked.minutes * 60 <= asked.notice + MARGIN // 2:
        raise UsageError(
            f"cluster.time: {asked.minutes} min leave nothing to train in, as the signal to save comes {asked.notice} "
            f"to {asked.notice + MARGIN} s before the end (cluster.notice)"
        )
    if asked.nodes * asked.processes > 1 and (made.slots or 1) > 1:
        raise UsageError(
            f"cluster.slots: {made.slots} runs at once in an allocation, but with nodes × processes = "
            f"{asked.nodes * asked.processes} each run has its allocation to itself"
        )


def _number(gpus: str | None) -> int:
    return int(gpus.rpartition(":")[2]) if gpus else 0


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("must be text on one line")
    return value


def _kind(value: Any) -> str:
    if value not in ("local", "slurm"):
        raise ValueError('must be "local" or "slurm"')
    return value


def _count(least: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if type(value) is not int or value < least:
            raise ValueError(f"must be a whole number from {least} on")
        return value

    return parse


def _gpus(value: Any) -> str | None:
    if type(value) is int and value >= 0:
        return str(value) if value else None
    if isinstance(value, str) and re.fullmatch(r"([A-Za-z0-9_.-]+:)?[1-9]\d*", value):
        return value
    raise ValueError('must be a number, or a type and a number, "a100:2"')


def _memory(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[1-9]\d*[KMGT]B?", value):
        return value
    raise ValueError('must be text with a unit, "32G"')


def _minutes(value: Any) -> int:
    """Whole minutes, rounded up."""
    if isinstance(value, datetime.time):  # TOML's 12:30:00 without quotes
        value = value.strftime("%H:%M:%S")
    if type(value) is int and value > 0:
        return value
    if isinstance(value, str) and (match := re.fullmatch(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)", value)):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        if total := (days * 24 + hours) * 60 + minutes + (seconds > 0):
            return total
    raise ValueError('must be minutes, 90, or "HH:MM:SS", or "D-HH:MM:SS"')


def _lines(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise ValueError('must be a list of texts, ["..."]')
    if not all(line.replace("\t", " ").isprintable() for line in value):
        raise ValueError("must be a list of texts on one line each")
    if any(re.match(r"\s*#(SBATCH|PBS|BSUB)\b", line) for line in value):
        raise ValueError("must leave options of sbatch to cluster.sbatch")
    return tuple(value)


def _options(value: Any) -> dict[str, str | int | bool]:
    if not isinstance(value, dict):
        raise ValueError("must be a table of sbatch's options, {nice = 100}")
    options = {}
    for name, argument in value.items():
        option = name.removeprefix("--").replace("_", "-")
        if not re.fullmatch(r"[a-z][a-z-]+", option):
            raise ValueError(f"{name!r} must be the long name of an option of sbatch")
        if option in REFUSED:
            raise ValueError(f"--{option} is no option for a launch")
        if option in TAKEN:
            raise ValueError(f"--{option} is set by {TAKEN[option]}")
        if (
            argument is False
            or not isinstance(argument, str | int)
            or (isinstance(argument, str) and not argument.isprintable())
        ):
            raise ValueError(f"{name} must be text, a number or true")
        options[option] = argument
    return options


PARSERS: dict[str, Callable[[Any], Any]] = {
    "kind": _kind,
    "workers": _count(1),
    "slots": _count(1),
    "chain": _count(0),
    **dict.fromkeys(("partition", "account", "qos", "constraint", "reservation", "exclude", "python"), _text),
    **dict.fromkeys(("nodes", "processes", "cpus", "notice"), _count(1)),
    "gpus": _gpus,
    "memory": _memory,
    "time": _minutes,
    "setup": _lines,
    "srun": _lines,
    "sbatch": _options,
}
OWN = ("kind", "workers", "slots", "chain")
PER_SHAPE = tuple(key for key in PARSERS if key not in ("kind", "workers", "chain"))
SUITE = "array job-name output error open-mode chdir dependency signal wrap parsable requeue no-requeue"
TAKEN = {
    **dict.fromkeys(SUITE.split(), "the suite"),
    **{key: f"cluster.{key}" for key in ("partition", "account", "qos", "constraint", "reservation", "exclude")},
    "nodes": "cluster.nodes",
    "time": "cluster.time",
    "mem": "cluster.memory",
    "cpus-per-task": "cluster.cpus",
    "gpus-per-node": "cluster.gpus",
    "ntasks-per-node": "cluster.processes",
    "ntasks": "cluster.processes",
}
# A launch submits as its caller, to the cluster it runs on, reads what sbatch says, and returns.
REFUSED = frozenset(["clusters", "cluster", "quiet", "test-only", "wait", "help", "usage", "version", "uid", "gid"])
