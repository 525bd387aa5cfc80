"""Asks a workload for what the training loop needs, and says in one line what is wrong with an answer."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from optathlon.tasks.description import verified_scores
from optathlon.tasks.errors import TaskError, kind, one_line, raised
from optathlon.tasks.registry import resolve
from optathlon.tasks.task import Protocol, Task
from optathlon.tasks.workload import TAGS, Batch, Workload

METHODS = ("batches", "loss", "evaluate", "start_epoch", "tags", "state_dict", "load_state_dict")
"""Methods of a workload that the training loop calls."""

PLAIN = (type(None), bool, int, float, complex, str, bytes)
"""What a checkpoint holds beside tensors and containers; a subclass, such as numpy's numbers, would not load again."""

Modes = Mapping[str, tuple[nn.Module, bool]]


def build(task: Task, protocol: Protocol, data: Path, **process: Any) -> Workload:
    """Build the workload of `task`; TaskError unless it is one that has players. process: as `Workload` takes it.

    What its own code raises is not caught.
    """
    make = resolve(task.workload)
    try:
        workload = make(protocol, Path(data), **process)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:  # raised inside, not by the call
            raise
        remedy = "; take `**process` and hand it on: super().__init__(protocol, data, **process)"
        raise TaskError(f"{task.workload}: {one_line(error)}{remedy if 'argument' in str(error) else ''}") from error
    if not isinstance(workload, Workload):
        raise TaskError(f"{task.workload}: must give a Workload, not {kind(workload)}")
    _verify_methods(workload)
    _verify_players(workload)
    return workload


def _verify_methods(workload: Workload) -> None:
    """TaskError unless each method can be called as the loop does."""
    for method in METHODS:
        parameters = inspect.signature(getattr(Workload, method)).parameters.values()
        try:
            inspect.signature(getattr(workload, method)).bind(*(p.name for p in parameters if p.name != "self"))
        except (TypeError, AttributeError):
            words = ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters)
            name = f"{type(workload).__name__}.{method}"
            raise TaskError(f"{name}: cannot be called as it must; write def {method}({words})") from None


def _verify_players(workload: Workload) -> None:
    name = type(workload).__name__
    if not hasattr(workload, "protocol"):
        raise TaskError(f"{name}: its __init__ must call super().__init__(protocol, data, **process)")
    players = getattr(workload, "players", None)
    if players is None:
        raise TaskError(f'{name}: has no players; set them in its __init__: self.players = {{"model": net}}')
    if not isinstance(players, Mapping) or not players:
        what = "is empty" if isinstance(players, Mapping) else f"is {kind(players)}"
        raise TaskError(f'{name}.players: {what}, and must be a dictionary of networks: {{"model": net}}')
    trained_by: dict[int, str] = {}
    for player, net in players.items():
        where = f"{name}.players[{player!r}]"
        _verify_player(where, player, net)
        for path, parameter in net.named_parameters():
            if (other := trained_by.setdefault(id(parameter), player)) != player:
                raise TaskError(f"{where}: shares {path} with {other!r}; each parameter belongs to one player")


def _verify_player(where: str, player: Any, net: Any) -> None:
    if not isinstance(player, str):
        raise TaskError(f'{where}: the name must be text, {{"model": net}}, not {kind(player)}')
    if not isinstance(net, nn.Module):
        raise TaskError(f"{where}: must be a torch.nn.Module, not {kind(net)}")
    if lazy := next((path for path, parameter in net.named_parameters() if is_lazy(parameter)), None):
        raise TaskError(f"{where}: {lazy} has no shape yet; give its layer all sizes, as optimizers need the weights")
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise TaskError(f"{where}: has no parameter to train")


def tags_of(workload: Workload, player: str) -> Mapping[str, set[str]]:
    """`workload.tags(player)`; TaskError unless it has, for each parameter, a set of known tags."""
    tags, call = workload.tags(player), f"{type(workload).__name__}.tags({player!r})"
    if not isinstance(tags, Mapping) or not all(isinstance(facts, set | frozenset) for facts in tags.values()):
        raise TaskError(f'{call} returns no dictionary of sets; it must return {{"fc.bias": {{"bias"}}, ...}}')
    names = {name for name, _ in workload.players[player].named_parameters()}
    if wrong := sorted(set(tags) ^ names, key=str):
        raise TaskError(f"{call} must name each parameter and nothing else: {', '.join(map(repr, wrong[:3]))}")
    if unknown := sorted(set().union(*tags.values()) - set(TAGS), key=str):
        raise TaskError(f"{call} has unknown {unknown}; known are {', '.join(TAGS)}")
    return tags


def state_of(workload: Workload) -> dict[str, Any]:
    """`workload.state_dict()`; TaskError unless a checkpoint can hold it."""
    state, call = workload.state_dict(), f"{type(workload).__name__}.state_dict()"
    if not isinstance(state, dict):
        raise TaskError(f"{call} returns {kind(state)}; it must return a dictionary, {{}} if nothing is carried along")
    _verify_plain(call, state)
    return state


def _verify_plain(where: str, value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _verify_plain(f"{where}[{key!r}]", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _verify_plain(f"{where}[{index}]", item)
    elif type(value) not in PLAIN and not isinstance(value, Tensor):
        raise TaskError(f"{where} is {kind(value)}; only plain values, lists, dictionaries and tensors can be saved")


def micro_batches(workload: Workload, epoch: int, start: int = 0) -> Iterator[Batch]:
    """What `workload.batches` yields; TaskError where that is no Batch."""
    call = f"{type(workload).__name__}.batches({epoch}, {start})"
    batches = workload.batches(epoch, start)
    if not isinstance(batches, Iterable):
        raise TaskError(f"{call} returns {kind(batches)}; it must yield Batches")
    for batch in batches:
        if not isinstance(batch, Batch):
            raise TaskError(f"{call} yields {kind(batch)}; it must yield Batch(data, index, of, size)")
        _verify_batch(call, batch)
        yield batch


def _verify_batch(call: str, batch: Batch) -> None:
    for field, least in (("index", 0), ("of", 1), ("size", 1)):
        value = getattr(batch, field)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise TaskError(f"{call} yields a Batch whose {field} is {value!r}: must be a whole number from {least} on")
    scale = batch.lr_scale
    if not isinstance(scale, int | float) or not (math.isfinite(scale) and scale >= 0):
        raise TaskError(f"{call} yields a Batch whose lr_scale is {scale!r}: must be a number from 0 on")


def loss_of(workload: Workload, batch: Batch, player: str) -> Tensor:
    """`workload.loss`; TaskError unless it is one number from which gradients can be computed."""
    loss, call = workload.loss(batch, player), f"{type(workload).__name__}.loss(batch, {player!r})"
    if not isinstance(loss, Tensor):
        raise TaskError(f"{call} returns {kind(loss)}; it must return a tensor of one number")
    if loss.ndim:
        raise TaskError(f"{call} returns a tensor of shape {tuple(loss.shape)}, not one number; take its .mean()")
    if not loss.requires_grad:
        raise TaskError(
            f"{call} does not depend on any parameter; compute it from the players, without detach() and no_grad()"
        )
    if loss.device.type != workload.device.type:
        raise TaskError(f"{call} returns a tensor on {loss.device}, not on {workload.device}; keep all on self.device")
    return loss


def scores_of(workload: Workload, task: Task, split: str) -> dict[str, float]:
    """`workload.evaluate(split)`, as floats; TaskError unless its names are those of `task.metrics`, and it leaves the
    networks themselves and their modes as they were."""
    call = f"{type(workload).__name__}.evaluate({split!r})"
    before = modes(workload)
    try:
        scores = workload.evaluate(split)
    except (LookupError, ValueError) as error:
        if isinstance(error, TaskError) or split not in str(error):
            raise
        raise TaskError(f"{call} raised {raised(error)}; it must know the split {split!r}") from error
    select = workload.protocol.select
    verified = verified_scores(task, split, scores, select.metric if select else None)
    verify_same_modes(call, before, modes(workload))
    return verified


def verify_same_modes(call: str, before: Modes, after: Modes) -> None:
    """TaskError if `call` put other modules into the players, or left one in another mode."""
    for name, (module, training) in after.items():
        was, trained = before.get(name, (None, training))
        if was is not module:
            raise TaskError(
                f"{call} replaces {name} ({type(module).__name__}), but its optimizer steps the one before; "
                "change weights in place, and set players in __init__ alone"
            )
        if trained != training:
            old, new = ("training", "eval") if trained else ("eval", "training")
            method = call.partition("(")[0].rpartition(".")[2]
            raise TaskError(
                f"{call} leaves {name} ({type(module).__name__}) in {new} mode; "
                f"put it back in {old} mode, as it was, at the end of {method}"
            )


def modes(workload: Workload) -> Modes:
    """Each module of the players by its path, with whether it is in training mode."""
    return {
        ".".join(filter(None, (player, path))): (module, module.training)
        for player, net in workload.players.items()
        for path, module in net.named_modules()
    }
