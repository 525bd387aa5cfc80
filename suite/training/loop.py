"""The training loop of every task and optimizer. Stopped anywhere and continued, it gives the same weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from optathlon.suite.identity import Run
from optathlon.suite.training.evaluation import Outcome, evaluate, finish, watched_score
from optathlon.suite.training.precision import autocast, clip, set_rate
from optathlon.suite.training.saver import Saver
from optathlon.suite.training.seeds import seed
from optathlon.suite.training.state import State
from optathlon.suite.training.surroundings import Surroundings
from optathlon.tasks.errors import TaskError
from optathlon.tasks.verified_workload import loss_of, micro_batches
from optathlon.tasks.workload import Batch, Workload


def train(run: Run, workload: Workload, around: Surroundings) -> Outcome:
    """Train `run` on a workload just built from its seed, from the newest checkpoint if there is one, to its outcome.

    Raises Preempted once the state is saved after `around.stop()` turned true, Fenced if another attempt took over; on
    several processes, all of which must call it, in all of them after the same update.
    """
    p, state = run.protocol, State(run, workload, around.team, around.implementation, around.networks)
    saver = Saver(state, around)
    saver.load()
    state.networks = state.networks.apply(workload)
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
        first_update = state.update
        with around.clock.updating():
            for parts in chunks(micro_batches(workload, state.epoch, state.batch), p.micro_batches // workload.world):
                with state.timed_update(parts):
                    means = {name: update(state, name, parts) for name in workload.players}
                    state.advance(parts, means)
                saver.save_when_due()
                if not state.settled:
                    break
            state.look_for_divergence()  # `settle` waits for the device anyway; here it counts as the updates' time
        if state.update == first_update:
            raise TaskError(
                f"{run.problem.task}: batches({state.epoch}, {state.batch}) yields no update, which takes "
                f"{p.micro_batches} micro-batches of {p.micro_batch_size}; there are too few data, or `of` says more "
                "than it yields"
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
    factor = p.schedule.factor(state.time, p.length) * float(parts[0].lr_scale)  # numpy's would be in checkpoints
    for group in optimizer.param_groups:
        set_rate(group, factor)
    losses: list[Tensor] = []

    def closure() -> Tensor:
        with state.cost.timer.optimizer(False):
            return gradients()

    def gradients() -> Tensor:
        forget_gradients(state)
        buffers = [(b, b.clone()) for net in workload.players.values() for b in net.buffers()] if losses else []
        shares: list[Tensor] = []
        for batch in state.team.through(parts, workload.players.values()):
            seed(workload.device, run.seed, "loss", state.epoch, batch.index, name)
            with torch.enable_grad():
                with autocast(workload.device, p.precision):
                    loss = loss_of(workload, batch, name)
                    share = loss / p.micro_batches if p.micro_batches > 1 else loss
                scaler.scale(share).backward()
            # A copy: it is read many updates later, when a compiled network may have reused the memory of the loss.
            shares.append(share.detach().to(torch.float32, copy=True))
        for buffer, value in buffers:
            buffer.copy_(value)
        total = state.team.sum_gradients(net, sum(shares[1:], shares[0]))
        scaler.unscale_(optimizer)
        clip(state.parameters[name], p.clip_norm, p.clip_value)
        losses.append(total)
        return total

    with state.recorders[name].watching(state.update == state.sample_at):
        if state.spec.flags & {"closure"}:
            with state.cost.timer.optimizer():
                optimizer.step(closure)  # type: ignore[arg-type]
        else:
            closure()
            with state.cost.timer.optimizer():
                scaler.step(optimizer)
                scaler.update()
    return losses[0]


def forget_gradients(state: State) -> None:
    """Drop the gradients of all players, since a loss may reach all of them."""
    for parameters in state.parameters.values():
        for parameter in parameters:
            parameter.grad = None


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
            score = watched_score(state)
            if state.protocol.needs_best and score is not None and state.consider(score):
                around.ask_fence()  # an evaluation can take long
                state.keep_best(score, around.checkpoints)
    if state.batch == 0:
        for optimizer in state.optimizers.values():
            if hasattr(optimizer, "epoch_end"):
                higher = state.protocol.select is None or state.protocol.select.higher_is_better
                signed = None if score is None else score if higher else -score
                optimizer.epoch_end(state.epoch - 1, signed)  # type: ignore[attr-defined]
    if state.over:
        for recorder in state.recorders.values():
            recorder.at_end()
    state.sample_at = state.update
    state.settled = True
