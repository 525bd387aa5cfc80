"""Proves of any workload what the training loop relies on; each family's tests call `prove`."""

from __future__ import annotations

import copy
import hashlib
import itertools
from collections.abc import Callable, Iterator

import torch

from optathlon.suite.training.team import merged
from optathlon.tasks.workload import TAGS, Batch, Workload

Build = Callable[..., Workload]  # build(seed=, rank=, world=, data_workers=) -> a fresh workload


def digest(value: object) -> str:
    """A digest of nested tensors, numbers and containers, bit for bit."""
    hashed = hashlib.sha256()
    _feed(hashed, value)
    return hashed.hexdigest()


def _feed(hashed: hashlib._Hash, value: object) -> None:
    if isinstance(value, torch.Tensor):
        hashed.update(str((value.dtype, tuple(value.shape))).encode())
        hashed.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, dict):
        for key in value:
            _feed(hashed, (str(key), value[key]))
    elif isinstance(value, list | tuple):
        hashed.update(f"{len(value)}[".encode())
        for item in value:
            _feed(hashed, item)
    else:
        hashed.update(repr(value).encode())


def _fresh(build: Build, **how: int) -> Workload:
    torch.default_generator.manual_seed(7)
    return build(seed=3, **how)


def _everything(workload: Workload) -> str:
    modes = [[m.training for m in net.modules()] for net in workload.players.values()]
    weights = [net.state_dict() for net in workload.players.values()]
    return digest([weights, modes, workload.state_dict()])


def _identity(batch: Batch) -> str:
    return digest([batch.data, batch.index, batch.of, batch.size, batch.lr_scale])


def prove(build: Build, splits: tuple[str, ...] = ("validation", "test")) -> None:
    """Raise AssertionError if the workload breaks the contract of tasks.workload.Workload."""
    the_same_seed_builds_the_same_weights(build)
    tags_are_from_the_vocabulary(build)
    batches_do_not_depend_on_workers_or_start(build)
    loss_is_repeatable(build)
    evaluation_leaves_no_trace(build, splits)
    if _fresh(build).protocol.parts % 2 == 0:
        two_processes_are_one(build)


def the_same_seed_builds_the_same_weights(build: Build) -> None:
    assert _everything(_fresh(build)) == _everything(_fresh(build))


def tags_are_from_the_vocabulary(build: Build) -> None:
    workload = _fresh(build)
    for player, net in workload.players.items():
        tags = workload.tags(player)
        assert set(tags) == {name for name, _ in net.named_parameters()}
        assert set().union(*tags.values()) <= set(TAGS)


def batches_do_not_depend_on_workers_or_start(build: Build) -> None:
    workload = _fresh(build)
    whole = [_identity(b) for b in workload.batches(1)]
    assert len(whole) > 2, "an epoch of the miniature must have more than two micro-batches"
    indices = [b.index for b in workload.batches(1)]
    assert indices == list(range(len(whole)))
    parts = workload.protocol.parts
    for start in {0, parts, len(whole) // 2 // parts * parts, len(whole) - parts}:
        assert [_identity(b) for b in workload.batches(1, start)] == whole[start:]
    for workers in (1, 2):
        loaded = _fresh(build, data_workers=workers).batches(1, parts)
        assert [_identity(b) for b in loaded] == whole[parts:]
    assert whole[0] != _identity(next(workload.batches(2))), "two epochs have the same first batch"
    if parts % 2 == 0:
        pair = [_fresh(build, rank=r, world=2).batches(1) for r in range(2)]
        assert [_identity(b) for both in zip(*pair, strict=True) for b in both] == whole


def _first(workload: Workload, count: int) -> Iterator[Batch]:
    return itertools.islice(workload.batches(0), count)


def _loss_and_gradients(workload: Workload, batch: Batch, player: str) -> str:
    for net in workload.players.values():
        net.zero_grad(set_to_none=True)
    torch.default_generator.manual_seed(11)
    loss = workload.loss(batch, player)
    assert loss.ndim == 0
    loss.backward()
    gradients = {n: p.grad for n, p in workload.players[player].named_parameters() if p.grad is not None}
    assert gradients, f"{player}: no parameter has a gradient"
    return digest([loss, gradients])


def loss_is_repeatable(build: Build) -> None:
    """Also across a later batch: memories advance with the index, so the second batch is asked twice as well."""
    workload = _fresh(build)
    workload.start_epoch(0, resuming=False)
    for batch in _first(workload, 3):
        for player in workload.players:
            once = _loss_and_gradients(workload, batch, player)
            assert once == _loss_and_gradients(workload, batch, player)


def evaluation_leaves_no_trace(build: Build, splits: tuple[str, ...]) -> None:
    """Training with evaluations in between gives the losses of training without."""
    plain, evaluated = _fresh(build), _fresh(build)
    for workload in (plain, evaluated):
        workload.start_epoch(0, resuming=False)
    for batch in _first(plain, 3):
        for player in plain.players:
            expected = _loss_and_gradients(plain, batch, player)
            assert expected == _loss_and_gradients(evaluated, batch, player)
        before = _everything(evaluated)
        for split in splits:
            torch.default_generator.manual_seed(5)
            once = evaluated.evaluate(split)
            torch.default_generator.manual_seed(5)
            assert once == evaluated.evaluate(split)
            assert all(isinstance(v, float) for v in once.values()), once
        assert before == _everything(evaluated)


def two_processes_are_one(build: Build) -> None:
    """Three updates by plain SGD: the parts that two ranks have give the gradients and memories of one with all."""
    alone = [one := _fresh(build)]
    pair = [_fresh(build, rank=rank, world=2) for rank in range(2)]
    for workload in (one, *pair):
        workload.start_epoch(0, resuming=False)
    for parts, shares in zip(_updates(alone), _updates(pair), strict=True):
        for player in one.players:
            expected = _summed_gradients(alone, [parts[0]], player)
            summed = _summed_gradients(pair, shares, player)
            torch.testing.assert_close(summed, expected, rtol=1e-4, atol=1e-6)
            for workload in (one, *pair):
                for name, parameter in workload.players[player].named_parameters():
                    if name in expected:
                        parameter.data.sub_(expected[name], alpha=0.01)
        for workload in pair:  # behind an update the loop folds the statistics of all its parts, on every rank
            for player, net in workload.players.items():
                for name, buffer in net.named_buffers():
                    buffer.copy_(one.players[player].get_buffer(name))
    states = [workload.state_dict() for workload in pair]
    torch.testing.assert_close(merged(states), one.state_dict(), rtol=1e-4, atol=1e-6)


def _updates(workloads: list[Workload]) -> list[list[list[Batch]]]:
    """The first three updates of an epoch, each as the micro-batches that each of the processes has of it."""
    count = workloads[0].protocol.parts // len(workloads)
    firsts = [list(_first(workload, 3 * count)) for workload in workloads]
    return [[batches[i : i + count] for batches in firsts] for i in range(0, 3 * count, count)]


def _summed_gradients(workloads: list[Workload], shares: list[list[Batch]], player: str) -> dict[str, torch.Tensor]:
    """Of a player, over all micro-batches of an update, by parameter."""
    summed: dict[str, torch.Tensor] = {}
    for workload, batches in zip(workloads, shares, strict=True):
        for net in workload.players.values():
            net.zero_grad(set_to_none=True)
        for batch in batches:
            torch.default_generator.manual_seed(batch.index)
            (workload.loss(batch, player) / workload.protocol.parts).backward()
        for name, parameter in workload.players[player].named_parameters():
            if parameter.grad is not None:
                summed[name] = summed.get(name, torch.zeros_like(parameter)) + parameter.grad
    return {name: gradient.detach() for name, gradient in summed.items()}


def memory_survives(build: Build) -> None:
    """A workload whose state_dict went through another one continues with the same loss."""
    workload = _fresh(build)
    workload.start_epoch(0, resuming=False)
    batches = list(_first(workload, 3))
    for batch in batches[:2]:
        for player in workload.players:
            _loss_and_gradients(workload, batch, player)
    other = _fresh(build)
    other.load_state_dict(copy.deepcopy(workload.state_dict()))
    for player, net in workload.players.items():
        other.players[player].load_state_dict(net.state_dict())
    other.start_epoch(0, resuming=True)
    for player in workload.players:
        assert _loss_and_gradients(workload, batches[2], player) == _loss_and_gradients(other, batches[2], player)
