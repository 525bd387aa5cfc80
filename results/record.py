"""What is written down of a run: the plan it stands in, each start of it, and its immutable outcome."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SCHEMA = 1


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
    """One finished or diverged run. Everything but `provenance` is a function of problem, setting and seed.

    problem, setting: what the digests were taken of. headline, selection: names of the scores that rank and select.
    provenance: host, devices, times, versions, commit, tree, attempt, peak memory.
    """

    id: str
    digests: Identity
    problem: dict[str, Any]
    setting: dict[str, Any]
    seed: int
    status: Literal["finished", "diverged"]
    scores: list[Score]
    headline: str
    selection: str | None
    updates: int
    diverged_at: int | None = None
    weights: str | None = None
    curve: Curve
    provenance: dict[str, Any] = {}
    schema: int = SCHEMA


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who started an attempt. job: the scheduler's name of the job. restart: how often that job was restarted."""

    host: str
    boot: str
    pid_namespace: str
    pid: int
    started: str
    job: str | None = None
    restart: int = 0
    user: str = ""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a run: creating its file is the claim."""

    run: str
    number: int
    owner: Owner
    created: str
    schema: int = SCHEMA


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended; "stopped" will go on. moved: it advanced the checkpoint. failure: the class of what it
    failed by, a word that whoever ran it chose."""

    run: str
    number: int
    kind: Literal["finished", "diverged", "stopped", "failed", "fenced"]
    reason: str = ""
    trace: str = ""
    failure: str = ""
    moved: bool = False
    ended: str = ""
    schema: int = SCHEMA
