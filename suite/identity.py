"""One run: a problem, a setting and a seed, and the id that is a function of the three."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

import msgspec

from optathlon import optimizers, tasks
from optathlon.results.record import Identity
from optathlon.suite.user_modules import prefer_own


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is solved."""

    task: str
    version: int | str
    scale: str
    data: dict[str, str]
    """The edition of each data set."""
    protocol: tasks.Protocol
    """The task's at this scale, with the sweep's changes."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What solves it."""

    optimizer: str
    version: int | str
    hyperparameters: dict[str, Any]
    """All declared ones, and those given by tag."""
    protocol: dict[str, Any] = {}
    """The changes that this optimizer makes to the problem's protocol."""
    probes: list[str] = []


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What is trained once: a problem, solved with a setting, from a seed."""

    problem: Problem
    setting: Setting
    seed: int

    @property
    def protocol(self) -> tasks.Protocol:
        """The resolved protocol: the problem's with the setting's changes."""
        return self.problem.protocol.override(self.setting.protocol)

    @property
    def digests(self) -> Identity:
        return Identity(problem=digest(self.problem), setting=digest(self.setting))

    @property
    def id(self) -> str:
        return run_id(self.digests, self.seed)

    @property
    def label(self) -> str:
        """A name for people: task/optimizer/s0."""
        return f"{self.problem.task}/{self.setting.optimizer}/s{self.seed}"


def canonical(value: Any) -> str:
    """Returns `value` as JSON with sorted keys and no spaces. Floats stay floats, -0.0 becomes 0.0; NaN raises
    ValueError."""
    return json.dumps(
        _plain(msgspec.to_builtins(value)), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return 0.0 if isinstance(value, float) and value == 0 else value


def digest(value: Any) -> str:
    """Returns the SHA-256, in hexadecimal, of the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def run_id(identity: Identity, seed: int) -> str:
    """Returns the first 16 hexadecimal digits of the SHA-256 over the digests of problem, setting and seed."""
    parts = identity.problem, identity.setting, _digest_of_seed(seed)
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]


# Kept, as thousands of settings share a few seeds; by type, as True equals 1 and is other JSON.
@functools.lru_cache(typed=True)
def _digest_of_seed(seed: int) -> str:
    return digest(seed)


@functools.cache
def task_of(name: str) -> tasks.Task:
    """Returns the task called `name`, or a user's `module:NAME`."""
    prefer_own(name)
    return tasks.task(name)


@functools.cache
def optimizer_of(name: str) -> optimizers.OptimizerSpec:
    """Returns the optimizer called `name`, or a user's `module:NAME`."""
    prefer_own(name)
    return optimizers.optimizer(name)
