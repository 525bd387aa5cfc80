"""What is written down of a run: the plan it stands in, each start of it, and its immutable outcome."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

SCHEMA = 1
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What tables and databases can hold."""


class Score(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A metric as recorded, "test/accuracy"; `value` is None where the run diverged before it could be measured."""

    name: str
    unit: str
    higher_is_better: bool
    value: float | None


class Identity(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """SHA-256 of the canonical JSON of a run's problem and setting; its id is 16 hex digits over both and the seed."""

    problem: str
    setting: str


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Points (time in the protocol's unit, value), one list for each "train/loss", "validation/accuracy"; no clock."""

    unit: str
    points: dict[str, list[tuple[float, float | None]]]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One finished or diverged run. Everything but `provenance` is a function of problem, setting and seed."""

    id: str
    digests: Identity
    problem: dict[str, Any]
    """What `digests.problem` was taken of."""
    setting: dict[str, Any]
    """What `digests.setting` was taken of."""
    seed: Int64
    status: Literal["finished", "diverged"]
    scores: list[Score]
    headline: str
    """Name of the score that ranks."""
    selection: str | None
    """Name of the score that settings are selected by."""
    updates: Int64
    diverged_at: Int64 | None = None
    """The update at which the loss was not finite."""
    weights: str | None = None
    """Digest of the final weights, those that were judged."""
    curve: Curve
    provenance: dict[str, Any] = {}
    """Host, devices, times, versions, commit, tree, attempt, cost (time per update, memory, energy)."""
    schema: int = SCHEMA

    def check(self) -> None:
        """Raise msgspec.ValidationError unless problem and setting have what every reader of records looks at."""
        check_problem(self.problem)
        check_setting(self.setting)


class _Problem(msgspec.Struct):
    task: str
    version: int | str
    scale: str
    data: dict[str, str]
    protocol: dict[str, Any]


class _Setting(msgspec.Struct):
    optimizer: str
    version: int | str
    hyperparameters: dict[str, Any]
    protocol: dict[str, Any] = {}
    probes: list[str] = []


def check_problem(problem: dict[str, Any]) -> None:
    """Raise msgspec.ValidationError unless `problem` is one, as far as results read it."""
    _check("problem", problem, _Problem)


def check_setting(setting: dict[str, Any]) -> None:
    """Raise msgspec.ValidationError unless `setting` is one, as far as results read it."""
    _check("setting", setting, _Setting)


def _check(name: str, value: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(f"{name}: {error}") from None


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who started an attempt: a process that can be told from all others, also from a later one with its number."""

    host: str
    boot: str
    """The id that the kernel drew when the host booted."""
    pid_namespace: str
    pid: int
    started: str
    """When the process began, in the kernel's ticks since then."""
    job: str | None = None
    """The scheduler's name of the job; None outside of one."""
    restart: int = 0
    """How often that job was restarted."""
    user: str = ""
    store: str = ""
    """The identity of the store in which the attempt was made."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a run: creating its file is the claim."""

    run: str
    number: int
    owner: Owner
    created: str
    schema: int = SCHEMA


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended."""

    run: str
    number: int
    kind: Literal["finished", "diverged", "stopped", "failed", "fenced"]
    """ "stopped" will go on."""
    reason: str = ""
    trace: str = ""
    failure: str = ""
    """The class of what it failed by, a word that whoever ran it chose."""
    moved: bool = False
    """Whether it advanced the checkpoint."""
    ended: str = ""
    record: str = ""
    """`file_digest` of the record that it wrote."""
    schema: int = SCHEMA


def file_digest(file: bytes) -> str:
    """SHA-256 of a record as it is written, without the end of its line."""
    return hashlib.sha256(file.rstrip(b"\n")).hexdigest()


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`values` with nested keys joined by dots: {"schedule.kind": "cosine"}."""
    flattened: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flattened |= flat(value, f"{prefix}{key}.")
        else:
            flattened[prefix + key] = value
    return flattened


def tuned_values(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a sweep may try of a setting, flat: its hyperparameters, and a schedule of its own if it has one."""
    schedule = setting.get("protocol", {}).get("schedule", {})
    return hyperparameters(setting) | flat({"schedule": schedule})


def hyperparameters(setting: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters of a setting as recorded, flat."""
    return flat(setting.get("hyperparameters", {}))
