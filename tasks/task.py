"""What a benchmark is, in words and numbers: descriptions that need no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from optathlon.tasks.conversion import convert
from optathlon.tasks.errors import TaskError, did_you_mean
from optathlon.tasks.schedule import Constant, Schedule

Setting = bool | int | float | str | list[int | float] | None
LARGEST, LARGEST_NUMBER = 2**31 - 1, 3e38
"""Whole numbers of 32 bits, numbers of float32: what is beyond would overflow somewhere, once training has begun."""
Count = Annotated[int, msgspec.Meta(ge=1, le=LARGEST)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=LARGEST_NUMBER)]
SCALES = ("paper", "mini", "smoke")


class Metric(msgspec.Struct, frozen=True):
    """A number that `Workload.evaluate` returns under this name."""

    name: str
    """A key of what `Workload.evaluate` returns; has no "/", which stands between a split and it on boards."""
    unit: str
    """As boards print it: "%", "nats", or "" for none."""
    higher_is_better: bool


class Select(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which evaluation on the validation split counts as best."""

    metric: str
    """One of the task's metrics."""
    higher_is_better: bool
    """As of that metric."""
    start: int = 0
    """From so many epochs or steps on an evaluation can be the best."""


class Protocol(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a task is trained and judged; resolved per run and hashed whole. Rates, decay and momenta are not here."""

    length: Count
    """Of the whole run, in units."""
    unit: Literal["epochs", "steps"] = "epochs"
    """What length, evaluate_every and the schedule count; a step is an update."""
    batch: Count
    """Samples or streams per update, over all processes."""
    micro_batch: Count | None = None
    """Samples or streams per loss, and per batch of which statistics are taken; None: the whole batch."""
    schedule: Schedule = Constant()
    """Factor on the optimizer's initial rates over time."""
    clip_norm: Positive | None = None
    """Gradients of an update are scaled down to this norm over all weights; None: never."""
    clip_value: Positive | None = None
    """Each number of a gradient is clamped to this absolute value; None: never."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """In which a loss is computed (autocast); weights are float32."""
    ema: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """Decay per update of the averaged weights that are judged; None: the weights themselves are."""
    fresh_statistics: Count | msgspec.UnsetType = msgspec.UNSET
    """Micro-batches over which batch statistics are measured anew before averaged weights are judged; left out, the
    training weights' are taken. It is in no id where it is left out."""
    evaluate_every: Count = 1
    """Units between evaluations during training."""
    watch: tuple[Literal["validation", "test"], ...] = ()
    """Splits that are evaluated during training."""
    select: Select | None = None
    """Which evaluation counts as best; None where none does."""
    checkpoint: Literal["last", "best"] = "last"
    """Whether the weights at the end or those of the best evaluation are judged on the test split."""
    restore_best_at: tuple[Count, ...] = ()
    """Epochs before which training goes back to the best weights so far."""
    holdout: Literal["published", "carved", "none"] = "none"
    """Where the validation split comes from: published with the data, carved out of training, or there is none."""
    tags: dict[str, Setting] = {}
    """Options for parameters with a tag, such as "norm.weight_decay"."""
    settings: dict[str, Setting] = {}
    """What the task's family can be told beside all this; see its `Settings`."""

    def __post_init__(self) -> None:
        self._verify_types()
        if self.batch % self.micro_batch_size:
            raise ValueError(f"batch {self.batch} must be a multiple of micro_batch {self.micro_batch}")
        if self.needs_best and self.holdout == "none":
            raise ValueError("checkpoint = best and restore_best_at need a validation split: holdout must not be none")
        if self.needs_best and (self.select is None or "validation" not in self.watch):
            raise ValueError("checkpoint = best and restore_best_at need `select`, and validation in `watch`")
        if self.select and not 0 <= self.select.start <= self.length:
            raise ValueError(f"select.start {self.select.start} must lie between 0 and length {self.length}")
        if self.restore_best_at and self.unit == "steps":
            raise ValueError("restore_best_at counts epochs: unit must not be steps")
        if len(set(self.watch)) < len(self.watch):
            raise ValueError(f"watch {list(self.watch)} names a split twice")
        if "validation" in self.watch and self.holdout == "none":
            raise ValueError("watch names validation, but holdout is none")

    def _verify_types(self) -> None:
        """Of what is looked at below: a struct's constructor checks none, and a text is a sequence too."""
        for field in ("length", "batch", "micro_batch"):
            value = getattr(self, field)
            if value is None and field == "micro_batch":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{field} {value!r} must be a whole number from 1 on")
        if not isinstance(self.watch, tuple | list):
            raise ValueError(f"watch {self.watch!r} must be a tuple of splits: write watch=({self.watch!r},)")
        if not isinstance(self.select, Select | None):
            raise ValueError(f"select {self.select!r} must be a Select(metric=..., higher_is_better=...)")

    @property
    def micro_batch_size(self) -> int:
        """Samples in one micro-batch, `micro_batch` or all of an update's."""
        return self.batch if self.micro_batch is None else self.micro_batch

    @property
    def micro_batches(self) -> int:
        """Micro-batches in one update, spread over processes and accumulation."""
        return self.batch // self.micro_batch_size

    @property
    def needs_best(self) -> bool:
        return self.checkpoint == "best" or bool(self.restore_best_at)

    def override(self, changes: Mapping[str, Any]) -> Protocol:
        """This protocol with nested `changes`; raises TaskError with the field's name if one does not fit."""
        return _convert(_merge(self._plain(), changes, "protocol"))

    def _plain(self) -> dict[str, Any]:
        try:
            return msgspec.to_builtins(self)
        except TypeError as error:
            raise TaskError(f"protocol.settings or tags: no number, text, list or table: {error}") from None

    def with_validation(self) -> Protocol:
        """This protocol with a validation split to select on: carved from training where none is published."""
        if self.holdout != "none" and "validation" in self.watch:
            return self
        holdout = "carved" if self.holdout == "none" else self.holdout
        return msgspec.structs.replace(self, holdout=holdout, watch=("validation", *self.watch))


def _merge(old: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    merged = dict(old)
    for key, value in changes.items():
        place = f"{where}.{key}"
        known = {*old, "fresh_statistics"} if where == "protocol" else old
        if where != "protocol.tags" and key not in known and not (where == "protocol.schedule"):
            raise TaskError(f"{place}: unknown{did_you_mean(key, known)}")
        if key == "schedule" and isinstance(value, Mapping) and "kind" in value:
            merged[key] = dict(value)
        elif isinstance(old.get(key), Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(old[key], value, place)
        else:
            merged[key] = _like(old.get(key), value, place) if where == "protocol.settings" else value
    return merged


def _like(old: Any, value: Any, place: str) -> Any:
    if isinstance(old, float) and type(value) is int:
        return float(value)
    if old is not None and type(old) is not type(value):
        raise TaskError(f"{place}: {value!r} must be of type {type(old).__name__}, as the default {old!r} is")
    return value


def _refuse_non_finite(value: Any, place: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_non_finite(item, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_non_finite(item, place)
    elif isinstance(value, float) and not math.isfinite(value):
        raise TaskError(f"{place}: {value} must be finite")


def _convert(values: Mapping[str, Any]) -> Protocol:
    _refuse_non_finite(values, "protocol")
    return convert(values, Protocol, "protocol")


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One benchmark problem: what is trained, how, and what counts."""

    name: str
    """As sweeps and boards call it, "ptb-awd-lstm"."""
    benchmark: str
    """The published experiment that it is one of the tasks of."""
    family: str
    """The folder whose code it shares with other tasks."""
    summary: str
    """A sentence on what is trained, and what the mini and smoke scales leave out."""
    metrics: tuple[Metric, ...]
    """The first is the headline; every name is a key of `Workload.evaluate`."""
    protocols: dict[str, Protocol]
    """By scale, of SCALES."""
    workload: str
    """Dotted path "package.module:Class" of the Workload, imported only when it is built."""
    check: str | None = None
    """Dotted path "package.module:function", torch-free: raises TaskError for a protocol whose settings cannot run."""
    ready: str | None = None
    """Dotted path of a torch-free function (protocol, data): raises DataError if what the protocol needs beside its
    data sets, pretrained weights for one, is not below the data root."""
    references: str | None = None
    """Dotted path of a torch-free function (protocol, data): returns what models that no optimizer trains score on the
    same data, {"bigram": {"validation/perplexity": 240.1, "test/perplexity": 245.3}}. Any trained one must beat them;
    called once per problem, and boards show them below their rows."""
    datasets: tuple[str, ...] = ()
    """Names of the data sets it reads, each in its own folder below the data root."""
    source: str = ""
    """Paper, table and section of the paper protocol."""
    version: int | str | None = None
    """Bumped when the same protocol trains otherwise; None (for tasks from outside): the digest of its file."""

    def protocol(self, scale: str) -> Protocol:
        """The protocol at `scale`; TaskError if the task has none."""
        if scale not in self.protocols:
            raise TaskError(f"scale: {self.name} has no scale {scale!r}{did_you_mean(scale, self.protocols)}")
        return self.protocols[scale]
