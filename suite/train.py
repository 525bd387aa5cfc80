"""The training loop of every task and optimizer. Stopped anywhere and continued, it gives the same weights."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from optathlon.suite.checkpoint import Checkpoints, SharedCheckpoints, digest_of
from optathlon.suite.collective import ALONE, Team
from optathlon.suite.errors import Preempted
from optathlon.suite.run import Run
from optathlon.suite.seeds import seed
from optathlon.suite.state import Clock, State
from optathlon.tasks.workload import Batch, Workload

CHECKPOINT_SECONDS = "OPTATHLON_CHECKPOINT_SECONDS"
BORDER_SECONDS = 120.0
EVENT_SECONDS = 15.0
GO_ON, SAVE, STOP = range(3)


@dataclass
class Surroundings:
    """What a run needs from outside: where checkpoints go, who wants to know, and whether to stop.

    team: the processes that train the run, each with surroundings of its own; any of them may be asked to stop.
    fenced: asked before each write; True means that another attempt owns the run now.
    moved: told when a checkpoint further on than the one found was saved.
    """

    checkpoints: Checkpoints | SharedCheckpoints
    team: Team = ALONE
    event: Callable[[dict[str, Any]], None] = lambda _: None
    stop: Callable[[], bool] = lambda: False
    fenced: Callable[[], bool] = lambda: False
    moved: Callable[[], None] = lambda: None
    clock: Clock = field(default_factory=Clock)
    interval: float = field(default_factory=lambda: float(os.environ.get(CHECKPOINT_SECONDS, "600")))


class Fenced(Exception):  # noqa: N818
    """A newer attempt owns this run; nothing more is written."""


@dataclass(frozen=True)
class Outcome:
    """What a run came to: scores by "split/metric", empty if it diverged."""

    status: str
    scores: dict[str, float]
    state: State
    weights: str


def train(run: Run, workload: Workload, around: Surroundings) -> Outcome:
    """Train `run` on a workload just built from its seed, from the newest checkpoint if there is one, to its outcome.

    Raises Preempted once the state is saved after `around.stop()` turned true, Fenced if another attempt took over; on
    several processes, all of which must call it, in all of them after the same update.
    """
    p, state = run.protocol, State(run, workload, around.team)
    saver = _Saver(state, around)
    saver.load()
    while True:
        if not state.settled:
            settle(state, around)
            saver.save_when_due()
        if state.over:
            return finish(state, around)
        if state.batch == 0 and p.unit == "epochs" and state.epoch in p.restore_best_at:
            state.restore_best(around.checkpoints)
        seed(workload.device, run.seed, "epoch", state.epoch)
        workload.start_epoch(state.epoch, state.batch > 0)
        at = state.update
        for parts in chunks(workload.batches(state.epoch, state.batch), p.parts // workload.world):
            means = {name: update(state, name, parts) for name in workload.players}
            state.advance(parts, means)
            saver.save_when_due()
            if not state.settled:
                break
        if state.update == at:
            raise RuntimeError(
                f"{run.problem.task}: epoch {state.epoch} gave no update from micro-batch {state.batch} on"
            )


def chunks(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of `size` micro-batches; an incomplete last one is left out."""
    iterator = iter(batches)
    while len(parts := list(itertools.islice(iterator, size))) == size:
        yield parts


def update(state: State, name: str, parts: Sequence[Batch]) -> Tensor:
    """One optimizer step of player `name` on `parts`; returns the mean loss, left on the device.

    Where the optimizer calls its closure several times, that is the first call's loss, and the others leave no trace in
    buffers: batch-norm statistics move once an update.
    """
    run, p, workload = state.run, state.protocol, state.workload
    net, optimizer, scaler = workload.players[name], state.optimizers[name], state.scalers[name]
    factor = p.schedule.factor(state.time, p.length) * parts[0].lr_scale
    for group in optimizer.param_groups:
        set_rate(group, factor)
    losses: list[Tensor] = []

    def closure() -> Tensor:
        for player in workload.players.values():
            player.zero_grad(set_to_none=True)
        total = torch.zeros((), device=workload.device)
        kept = [(b, b.clone()) for net in workload.players.values() for b in net.buffers()] if losses else []
        for batch in state.team.through(parts, workload.players.values()):
            seed(workload.device, run.seed, "loss", state.epoch, batch.index, name)
            with torch.enable_grad():
                with autocast(workload.device, p.precision):
                    loss = workload.loss(batch, name) / p.parts
                scaler.scale(loss).backward()
            total = total + loss.detach().float()
        for buffer, value in kept:
            buffer.copy_(value)
        total = state.team.sum_gradients(net, total)
        scaler.unscale_(optimizer)
        clip(net, p.clip_norm, p.clip_value)
        losses.append(total)
        return total

    before = snapshot(net) if state.update == state.sample_at else None
    if state.spec.flags & {"closure"}:
        optimizer.step(closure)  # type: ignore[arg-type]
    else:
        closure()
        scaler.step(optimizer)
        scaler.update()
    if before is not None:
        diagnose(state, name, before)
    return losses[0]


def set_rate(group: dict[str, Any], factor: float) -> None:
    """lr = initial_lr × factor, absolute, so that no rate is ever scaled twice."""
    rate = group["initial_lr"] * factor
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def autocast(device: torch.device, precision: str) -> torch.autocast:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    return torch.autocast(
        device.type, dtype=dtype if precision != "fp32" else torch.bfloat16, enabled=precision != "fp32"
    )


def clip(net: nn.Module, norm: float | None, value: float | None) -> None:
    if norm is not None:
        nn.utils.clip_grad_norm_(net.parameters(), norm)
    if value is not None:
        nn.utils.clip_grad_value_(net.parameters(), value)


def snapshot(net: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in net.parameters()]


def diagnose(state: State, name: str, before: list[Tensor]) -> None:
    """Note the norm of all weights, of the scale-invariant ones, and the effective step ‖Δw‖/‖w‖ of this update."""
    tags = state.workload.tags(name)
    named = dict(state.workload.players[name].named_parameters())
    invariant = [named[key].detach() for key, facts in tags.items() if "scale_invariant" in facts]
    old = norm(before)
    step = norm([p.detach() - q for p, q in zip(named.values(), before, strict=True)])
    state.note(f"{name}/weight_norm", old)
    state.note(f"{name}/effective_step", step / old if old else math.inf)
    if invariant:
        state.note(f"{name}/scale_invariant_norm", norm(invariant))


def norm(tensors: Sequence[Tensor]) -> float:
    return float(torch.stack([torch.linalg.vector_norm(t.float()).double() for t in tensors]).square().sum().sqrt())


def settle(state: State, around: Surroundings) -> None:
    """Do what is due at a border: curve, evaluation, best, the optimizers' epoch hook."""
    state.look_for_divergence()
    state.note_losses()
    if state.diverged:
        state.settled = True
        return
    score = None
    if state.evaluation_due and state.protocol.watch:
        with around.clock.evaluation(), state.evaluation_weights():
            state.watched = {split: evaluate(state, split) for split in state.protocol.watch}
            score = _score(state)
            if state.protocol.needs_best and score is not None and state.consider(score):
                state.keep_best(score, around.checkpoints)
    if state.batch == 0:
        for optimizer in state.optimizers.values():
            if hasattr(optimizer, "epoch_end"):
                higher = state.protocol.select is None or state.protocol.select.higher_is_better
                signed = None if score is None else score if higher else -score
                optimizer.epoch_end(state.epoch - 1, signed)  # type: ignore[attr-defined]
    state.sample_at = state.update
    state.settled = True


def _score(state: State) -> float | None:
    select = state.protocol.select
    return None if select is None or "validation" not in state.watched else state.watched["validation"][select.metric]


def evaluate(state: State, split: str) -> dict[str, float]:
    """The workload's metrics on `split`, noted in the curve; random numbers in it are functions of the split alone."""
    seed(state.workload.device, "evaluate", split)
    with torch.no_grad(), autocast(state.workload.device, state.protocol.precision):
        metrics = _evaluated(state, split)
    for name, value in metrics.items():
        state.note(f"{split}/{name}", value)
    return metrics


def _evaluated(state: State, split: str) -> dict[str, float]:
    """All processes evaluate, so that none waits long for another; the first one's numbers count for all."""
    metrics = state.workload.evaluate(split)
    return state.team.first(lambda: metrics)


def finish(state: State, around: Surroundings) -> Outcome:
    """Judge the last or the best weights on the test split, once."""
    if state.team.agree(around.fenced()):
        raise Fenced
    if state.diverged:
        return _outcome("diverged", {}, state)
    if state.protocol.checkpoint == "best" and state.best is not None:
        state.restore_best(around.checkpoints)
        watched = state.best["watched"]
        with around.clock.evaluation():
            return _judged(state, watched)
    with around.clock.evaluation(), state.evaluation_weights():
        return _judged(state, state.watched)


def _judged(state: State, watched: dict[str, dict[str, float]]) -> Outcome:
    seed(state.workload.device, "evaluate", "test")
    with torch.no_grad(), autocast(state.workload.device, state.protocol.precision):
        splits = {**watched, "test": _evaluated(state, "test")}
    scores = {f"{split}/{name}": value for split, metrics in splits.items() for name, value in metrics.items()}
    return _outcome("finished", scores, state)


def _outcome(status: str, scores: dict[str, float], state: State) -> Outcome:
    weights = digest_of(state.workload.players)
    state.team.same_weights(weights)
    return Outcome(status, scores, state, weights)


class _Saver:
    """Writes checkpoints by the clock and on a signal, and reads the newest one back."""

    def __init__(self, state: State, around: Surroundings) -> None:
        self.state, self.around = state, around
        self.last = self.told = time.monotonic()
        self.found = (0, True)

    def load(self) -> None:
        saved = self.around.checkpoints.load()
        if saved is not None:
            self.state.load_state_dict(saved)
            self.found = (self.state.update, self.state.settled)
            self.around.event({"resumed": self.state.update})

    def save_when_due(self) -> None:
        now = time.monotonic()
        age = now - self.last
        border = not self.state.settled and age >= min(BORDER_SECONDS, self.around.interval)
        due = border or age >= self.around.interval
        wish = self.around.team.agree(STOP if self.around.stop() else SAVE if due else GO_ON)
        if wish != GO_ON:
            self.save()
        if wish == STOP:
            raise Preempted
        if now - self.told >= EVENT_SECONDS or not self.state.settled:
            self.told = now
            self.around.event({"update": self.state.update, "time": self.state.time, **self.around.clock.report()})

    def save(self) -> None:
        if self.around.team.agree(self.around.fenced()):
            raise Fenced
        state = self.state
        written = self.around.checkpoints.save(state.state_dict(), state.update, state.best_file)
        if written and (state.update, state.settled) > self.found:
            self.around.moved()
        self.last = time.monotonic()
