"""Refuses a task whose description cannot be right. Needs no torch and no data."""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from optathlon.tasks.errors import TaskError, did_you_mean, kind
from optathlon.tasks.task import SCALES, Metric, Protocol, Task

SPLITS = ("validation", "test")
LONGEST_NAME = 60
"""Letters of a reference model's name: boards show it in a column."""


def verify(task: Task) -> None:
    """Raise TaskError with field, value and remedy unless every field of `task` is what `Task` says of it."""
    _verify_texts(task)
    _verify_metrics(task.metrics)
    if not isinstance(task.protocols, Mapping) or not task.protocols:
        raise TaskError('protocols: must be a dictionary of protocols by scale, {"smoke": Protocol(...)}')
    for scale, protocol in task.protocols.items():
        if scale not in SCALES:
            raise TaskError(f"protocols: {scale!r} is not a scale{did_you_mean(str(scale), SCALES)}")
        if not isinstance(protocol, Protocol):
            raise TaskError(f"protocols[{scale!r}]: must be a Protocol, not {kind(protocol)}")
        try:
            protocol.override({})  # a struct's constructor checks no types
            verify_selection(task, protocol)
        except TaskError as error:
            raise TaskError(f"protocols[{scale!r}]: {str(error).removeprefix('protocol.')}") from None


def verify_selection(task: Task, protocol: Protocol) -> None:
    """Raise TaskError if `protocol` selects by a metric that `task` does not have, or in the other direction."""
    if (select := protocol.select) is None:
        return
    metric = next((m for m in task.metrics if m.name == select.metric), None)
    if metric is None:
        hint = did_you_mean(select.metric, (m.name for m in task.metrics))
        raise TaskError(f"protocol.select.metric: {select.metric!r} is none of its metrics{hint}")
    if metric.higher_is_better != select.higher_is_better:
        raise TaskError(
            f"protocol.select.higher_is_better: is {select.higher_is_better}, "
            f"but the metric {metric.name!r} has {metric.higher_is_better}"
        )


def verified_scores(task: Task, split: str, scores: Any, selected: str | None = None) -> dict[str, float]:
    """`scores`, which `Workload.evaluate(split)` returned, as floats: numpy's, which are floats too, stand in no
    checkpoint and no record. TaskError unless they are those that `task` describes.

    selected: the metric by which the run's protocol chooses among evaluations.
    """
    names = [metric.name for metric in task.metrics]
    if not isinstance(scores, Mapping):
        example = ", ".join(f"{name!r}: ..." for name in names)
        raise TaskError(f"evaluate({split!r}) returns {kind(scores)}; it must return {{{example}}}")
    missing, extra = _missing(task, split, scores, selected), [n for n in scores if n not in names]
    if missing or extra:
        wrong = [f"misses {_quoted(missing)}"] * bool(missing) + [f"has {_quoted(extra)} besides"] * bool(extra)
        raise TaskError(
            f"evaluate({split!r}) {' and '.join(wrong)}; its names must be those of Task.metrics: {_quoted(names)}"
        )
    for name, value in scores.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TaskError(f"evaluate({split!r}): {name!r} is {kind(value)}, not a number; return float(...) of it")
        if isinstance(value, int) and abs(value) > sys.float_info.max:
            raise TaskError(f"evaluate({split!r}): {name!r} is an integer larger than any float")
    return {name: float(value) for name, value in scores.items()}


def verified_references(task: Task, models: Any) -> dict[str, dict[str, float]]:
    """`models`, which `Task.references` returned, as floats; TaskError unless they are, by model, finite values of the
    task's metrics, {"bigram": {"test/perplexity": 245.3}}."""
    if not isinstance(models, dict) or not all(isinstance(scores, dict) for scores in models.values()):
        raise TaskError(f"returned {_short(models)}; expected {{model: {{'test/{task.metrics[0].name}': value}}}}")
    known = [f"{split}/{metric.name}" for split in SPLITS for metric in task.metrics]
    for model, scores in models.items():
        if not (isinstance(model, str) and model.isprintable() and 0 < len(model.strip()) <= LONGEST_NAME):
            raise TaskError(f"model {_short(model)}: must be a name of at most {LONGEST_NAME} printable characters")
        for name, value in scores.items():
            if name not in known:
                raise TaskError(f"score {_short(name)} of {model}: must be one of {', '.join(known)}")
            if not isinstance(value, numbers.Real) or isinstance(value, bool) or not math.isfinite(value):
                raise TaskError(f"{name} of {model} is {_short(value)}: must be a finite number")
    return {model: {name: float(value) for name, value in scores.items()} for model, scores in models.items()}


def _missing(task: Task, split: str, scores: Mapping[str, float], selected: str | None) -> list[str]:
    """The metrics that `scores` lack: of all on the test split, elsewhere of those that rank and select.

    What costs much, such as a perplexity with a longer memory, need not be measured during training.
    """
    selects = {protocol.select.metric for protocol in task.protocols.values() if protocol.select}
    needed = {task.metrics[0].name, *selects, selected} if split != "test" else {metric.name for metric in task.metrics}
    return [metric.name for metric in task.metrics if metric.name in needed and metric.name not in scores]


def _verify_texts(task: Task) -> None:
    for field in ("name", "benchmark", "family", "summary", "workload", "source"):
        if not isinstance(value := getattr(task, field), str):
            raise TaskError(f"{field}: must be text, not {kind(value)}{_path_hint(field, value)}")
    for field in ("workload", "check", "ready", "references"):
        value = getattr(task, field)
        if value is not None and (not isinstance(value, str) or not all(value.partition(":"))):
            raise TaskError(f'{field}: must be text "module:NAME", not {value!r}{_path_hint(field, value)}')
    if isinstance(task.datasets, str):
        raise TaskError(f"datasets: must be a tuple of names, ({task.datasets!r},)")
    if not isinstance(task.datasets, tuple | list):
        raise TaskError(f"datasets: must be a tuple of names, not {kind(task.datasets)}")
    for dataset in task.datasets:
        if not isinstance(dataset, str):
            raise TaskError(f"datasets: must hold names, not {kind(dataset)}{_path_hint('datasets', dataset)}")
    if isinstance(task.version, bool) or not isinstance(task.version, int | str | None):
        raise TaskError(f"version: must be a whole number or text, not {kind(task.version)}")


def _verify_metrics(metrics: Any) -> None:
    if isinstance(metrics, Metric):
        raise TaskError("metrics: is one Metric, and must be a tuple: write metrics=(Metric(...),) with its comma")
    if not isinstance(metrics, tuple | list) or not metrics:
        raise TaskError(f"metrics: must be a tuple of one or more Metrics, not {kind(metrics)}")
    for metric in metrics:
        if not isinstance(metric, Metric):
            raise TaskError(f'metrics: must hold Metrics, not {kind(metric)}; write Metric("accuracy", "%", True)')
        if not isinstance(metric.name, str) or not isinstance(metric.unit, str):
            raise TaskError(f"metrics: name and unit of {metric} must be text")
        if not metric.name or "/" in metric.name:
            raise TaskError(f"metrics: the name {metric.name!r} must have letters and no '/', as in test/accuracy")
        if not isinstance(metric.higher_is_better, bool):
            raise TaskError(f"metrics: higher_is_better of {metric.name!r} must be True or False")
    names = [metric.name for metric in metrics]
    if twice := [name for name in names if names.count(name) > 1]:
        raise TaskError(f"metrics: {twice[0]!r} stands twice")


def _path_hint(field: str, value: Any) -> str:
    if isinstance(value, type):
        return f'; write "{value.__module__}:{value.__qualname__}"'
    return '; write the module and the name in it, "mine:Mine"' if field == "workload" else ""


def _quoted(names: Iterable[Any]) -> str:
    return ", ".join(map(repr, names))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
