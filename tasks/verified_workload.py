"""Asks a workload for what the training loop needs, and says in one line what is wrong with an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from optathlon.tasks.description import verify_scores
from optathlon.tasks.errors import TaskError, one_line, raised
from optathlon.tasks.registry import resolve
from optathlon.tasks.task import Protocol, Task
from optathlon.tasks.workload import Batch, Workload


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
        raise TaskError(f"{task.workload}: must give a Workload, not a {type(workload).__name__}")
    _verify_players(workload)
    return workload


def _verify_players(workload: Workload) -> None:
    name = type(workload).__name__
    if not hasattr(workload, "protocol"):
        raise TaskError(f"{name}: its __init__ must call super().__init__(protocol, data, **process)")
    players = getattr(workload, "players", None)
    if players is None:
        raise TaskError(f'{name}: has no players; set them in its __init__: self.players = {{"model": net}}')
    if not isinstance(players, Mapping) or not players:
        what = "is empty" if isinstance(players, Mapping) else f"is a {type(players).__name__}"
        raise TaskError(f'{name}.players: {what}, and must be a dictionary of networks: {{"model": net}}')
    for player, net in players.items():
        if not isinstance(net, nn.Module):
            raise TaskError(f"{name}.players[{player!r}]: must be a torch.nn.Module, not a {type(net).__name__}")
        if not any(p.requires_grad for p in net.parameters()):
            raise TaskError(f"{name}.players[{player!r}]: has no parameter to train")


def micro_batches(workload: Workload, epoch: int, start: int = 0) -> Iterator[Batch]:
    """What `workload.batches` yields; TaskError where that is no Batch."""
    call = f"{type(workload).__name__}.batches({epoch}, {start})"
    batches = workload.batches(epoch, start)
    if not isinstance(batches, Iterable):
        raise TaskError(f"{call} returns a {type(batches).__name__}; it must yield Batches")
    for batch in batches:
        if not isinstance(batch, Batch):
            raise TaskError(f"{call} yields a {type(batch).__name__}; it must yield Batch(data, index, of, size)")
        yield batch


def loss_of(workload: Workload, batch: Batch, player: str) -> Tensor:
    """`workload.loss`; TaskError unless it is one number from which gradients can be computed."""
    loss, call = workload.loss(batch, player), f"{type(workload).__name__}.loss(batch, {player!r})"
    if not isinstance(loss, Tensor):
        raise TaskError(f"{call} returns a {type(loss).__name__}; it must return a tensor of one number")
    if loss.ndim:
        raise TaskError(f"{call} returns a tensor of shape {tuple(loss.shape)}, not one number; take its .mean()")
    if not loss.requires_grad:
        raise TaskError(
            f"{call} does not depend on any parameter; compute it from the players, without detach() and no_grad()"
        )
    return loss


def scores_of(workload: Workload, task: Task, split: str) -> dict[str, float]:
    """`workload.evaluate(split)`; TaskError unless its names are those of `task.metrics`, and it puts modes back."""
    call = f"{type(workload).__name__}.evaluate({split!r})"
    before = _modes(workload)
    try:
        scores = workload.evaluate(split)
    except (LookupError, ValueError) as error:
        if isinstance(error, TaskError) or split not in str(error):
            raise
        raise TaskError(f"{call} raised {raised(error)}; it must know the split {split!r}") from error
    verify_scores(task, split, scores)
    for name, (module, training) in _modes(workload).items():
        if name in before and before[name][1] != training:
            was, now = ("training", "eval") if before[name][1] else ("eval", "training")
            raise TaskError(
                f"{call} leaves {name} ({type(module).__name__}) in {now} mode; "
                f"put it back in {was} mode, as it was, at the end of evaluate"
            )
    return dict(scores)


def _modes(workload: Workload) -> dict[str, tuple[nn.Module, bool]]:
    return {
        ".".join(filter(None, (player, path))): (module, module.training)
        for player, net in workload.players.items()
        for path, module in net.named_modules()
    }
