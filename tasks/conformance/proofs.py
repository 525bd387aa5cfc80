"""What the training loop relies on, proven of any workload: batches, loss, evaluation, memory, several processes."""

from __future__ import annotations

import contextlib
import copy
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from optathlon.tasks.conformance.digests import changed, digest, digest_of_batch, pieces
from optathlon.tasks.conformance.kit import MOST_BATCHES, Kit, Lacks, first, loss_and_gradients, require
from optathlon.tasks.shared_state import merged
from optathlon.tasks.task import Protocol
from optathlon.tasks.verified_workload import modes, scores_of, state_of, tags_of, verify_same_modes
from optathlon.tasks.workload import Batch, Workload

TORCH_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, torch.set_default_device),
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
}
"""What holds for a whole process, by how it is asked and how it is set."""


def is_built(kit: Kit) -> None:
    """Also: with a state that can be saved, and without a change of torch's settings, which hold for all else."""
    with _torch_settings_stay(kit.name):
        state_of(kit.fresh())


@contextlib.contextmanager
def _torch_settings_stay(call: str) -> Iterator[None]:
    """Raises Broken if the block, which makes the `call`, sets what holds for the whole process; puts it back."""
    before = {name: get() for name, (get, _) in TORCH_SETTINGS.items()}
    try:
        yield
        changes = [f"{n} to {get()}" for n, (get, _) in TORCH_SETTINGS.items() if get() != before[n]]
    finally:
        for name, (get, put) in TORCH_SETTINGS.items():
            if get() != before[name]:
                put(before[name])
    require(not changes, f"{call} sets torch's {', '.join(changes)} for the whole process; leave it as it is")


def same_seed_builds_same_weights(kit: Kit) -> None:
    if difference := changed(pieces(kit.fresh()), pieces(kit.fresh())):
        require(False, f"two {kit.name}s of one seed differ in {difference}: draw from torch's global generator only")


def tags_are_known(kit: Kit) -> None:
    workload = kit.fresh()
    for player in workload.players:
        tags_of(workload, player)


def yields_batches(kit: Kit) -> None:
    """They count from 0, agree on how many there are, and make at least one update."""
    workload = kit.started()
    batches, parts = first(workload), workload.protocol.micro_batches
    _require_counted(f"{kit.name}.batches(0)", batches, workload.protocol)
    _require_sizes(kit, batches, workload.protocol.micro_batch_size, parts)


def _require_counted(call: str, batches: list[Batch], protocol: Protocol) -> None:
    """Raises Broken unless the Batches, which `call` yields, count themselves as `Batch` says."""
    parts = protocol.micro_batches
    enough = f"an update takes {parts} micro-batches of {protocol.micro_batch_size}"
    require(len(batches) >= parts, f"{call} yields {len(batches)}, but {enough}: too few data")
    indices = [batch.index for batch in batches]
    require(indices == list(range(len(indices))), f"{call} has indices {indices[:4]}..., not 0, 1, 2, ...")
    counts = sorted({batch.of for batch in batches})
    right = len(counts) == 1 and (len(batches) == counts[0] or len(batches) == MOST_BATCHES < counts[0])
    require(right, f"{call} yields {len(batches)} Batches whose `of` says {counts}")
    require(counts[0] % parts == 0, f"{call}: `of` is {counts[0]}, no whole number of updates; {enough}")


def _require_sizes(kit: Kit, batches: list[Batch], expected: int, parts: int) -> None:
    """The gradient of an update is the mean over its micro-batches, each of which counts alike."""
    sizes = [batch.size for batch in batches]
    small = len(sizes) > 1 and sizes[0] < expected
    require(
        not small, f"{kit.name}.batches(0) yields Batches of size {sizes[0]}; protocol.micro_batch_size says {expected}"
    )
    for start in range(0, len(sizes) // parts * parts, parts):
        update = sizes[start : start + parts]
        alike = len(set(update)) == 1
        require(alike, f"{kit.name}.batches(0) yields sizes {update} in one update: leave out the last, smaller ones")


def starts_anywhere(kit: Kit) -> None:
    """batches(epoch, start) goes on exactly where a stopped run was."""
    workload = kit.started()
    batches, parts = first(workload, epoch=1), workload.protocol.micro_batches
    _require_counted(f"{kit.name}.batches(1)", batches, workload.protocol)
    whole = list(map(digest_of_batch, batches))
    again = list(map(digest_of_batch, first(workload, epoch=1)))
    fewer = f"yields {len(whole)} Batches, and {len(again)} when asked again: make a new generator each time"
    require(len(again) == len(whole), f"{kit.name}.batches(1) {fewer}")
    random = "take random numbers from optathlon.randomness, as functions of seed, epoch and index"
    require(again == whole, f"{kit.name}.batches(1) yields other data when asked again: {random}")
    for start in sorted({parts, len(whole) // 2 // parts * parts, len(whole) - parts} - {len(whole)}):
        rest = first(workload, len(whole) - start, epoch=1, start=start)
        same = list(map(digest_of_batch, rest)) == whole[start:]
        require(same, f"{kit.name}.batches(1, {start}) is not batches(1) from micro-batch {start} on: heed `start`")


def does_not_depend_on_data_workers(kit: Kit) -> None:
    """Also where they fetched for another epoch before."""
    parts = kit.fresh().protocol.micro_batches
    digests = []
    for number in (0, 1, 2):
        with contextlib.closing(kit.fresh(data_workers=number)) as workload:
            first(workload, 1, epoch=0)
            digests.append(list(map(digest_of_batch, first(workload, epoch=1, start=parts))))
    for workers, batches in enumerate(digests):
        require(
            batches == digests[0],
            f"{kit.name}.batches yields other data with {workers} data workers than with none: "
            "what is fetched must be a function of its job alone",
        )


def epochs_differ(kit: Kit) -> None:
    firsts = [first(kit.fresh(), 1, epoch=epoch)[0] for epoch in (1, 2)]
    if digest_of_batch(firsts[0]) == digest_of_batch(firsts[1]):
        raise Lacks("every epoch begins with the same batch")


def processes_share_the_batches(kit: Kit) -> None:
    _require_shareable(kit)
    whole = list(map(digest_of_batch, first(kit.fresh(), epoch=1)))
    pair = [first(kit.fresh(rank=rank, world=2), len(whole) // 2, epoch=1) for rank in range(2)]
    shared = [digest_of_batch(batch) for both in zip(*pair, strict=False) for batch in both]
    require(
        shared == whole[: len(shared)] and len(shared) >= len(whole) - 1,
        f"{kit.name}.batches of two processes are not those of one: yield those whose index % world is rank",
    )


def loss_has_finite_gradients(kit: Kit) -> None:
    """For each player, on the first batches."""
    workload = kit.started()
    for batch in first(workload, 3):
        for player in workload.players:
            call = f"{kit.name}.loss(batch, {player!r})"
            with _torch_settings_stay(call):
                gradients = loss_and_gradients(workload, batch, player)
            loss = float(gradients["loss"])
            require(
                math.isfinite(loss),
                f"{call} is {loss} on micro-batch {batch.index}: look for logarithms or quotients of 0",
            )
            require(len(gradients) > 1, f"{call} gives no parameter of {player!r} a gradient")
            bad = next((name for name, value in gradients.items() if not value.isfinite().all()), None)
            require(bad is None, f"{call} gives {bad} a gradient that is not finite, as sqrt does at 0")


def loss_changes_only_buffers(kit: Kit) -> None:
    """Weights, modes and the batch itself stay; statistics and memories may advance."""
    workload = kit.started()
    for batch in first(workload, 2):
        for player in workload.players:
            data, held, modules = digest_of_batch(batch), pieces(workload), modes(workload)
            loss_and_gradients(workload, batch, player)
            call = f"{kit.name}.loss(batch, {player!r})"
            require(digest_of_batch(batch) == data, f"{call} changes batch.data in place: change a copy of it")
            verify_same_modes(call, modules, modes(workload))
            difference = changed(_weights(held), _weights(pieces(workload)))
            require(difference is None, f"{call} changes {difference}: only the optimizer may")


def _weights(digests: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in digests.items() if not name.startswith(("buffer", "state_dict"))}


def loss_is_repeatable(kit: Kit) -> None:
    """Also across a later batch: memories advance with the index, so the second batch is asked twice as well."""
    workload = kit.started()
    for batch in first(workload, 3):
        for player in workload.players:
            once, again = (loss_and_gradients(workload, batch, player) for _ in range(2))
            require(
                digest(once) == digest(again),
                f"{kit.name}.loss(batch, {player!r}) asked twice gives {float(once['loss']):.6g}, then "
                f"{float(again['loss']):.6g}: carry memory on when batch.index changes; draw from torch's generator",
            )


def evaluates_every_split(kit: Kit) -> None:
    workload = kit.started()
    for split in kit.splits:
        with _torch_settings_stay(f"{kit.name}.evaluate({split!r})"):
            scores = _scores(kit, workload, split)
        for name, value in scores.items():
            require(math.isfinite(value), f"{kit.name}.evaluate({split!r}): {name!r} is {value} for initial weights")


def evaluation_leaves_no_trace(kit: Kit) -> None:
    """Weights, buffers, modes, memories and later losses are as without it, and asked again it says the same."""
    plain, evaluated = kit.started(), kit.started()
    scores: dict[str, dict[str, float]] = {}
    for batch in first(plain, 3):
        for player in plain.players:
            expected = digest(loss_and_gradients(plain, batch, player))
            same = expected == digest(loss_and_gradients(evaluated, batch, player))
            require(same, f"{kit.name}.evaluate changes what loss gives afterwards: it must leave no trace")
        before = pieces(evaluated)
        for split in kit.splits:
            scores[split] = _scores(kit, evaluated, split)
            difference = changed(before, pieces(evaluated))
            require(
                difference is None,
                f"{kit.name}.evaluate({split!r}) changes {difference}: "
                "evaluate in eval mode under torch.no_grad(), then put all back",
            )
    last = kit.splits[-1]
    for workload, when in ((evaluated, "then"), (plain, "where nothing was evaluated before")):
        again = _scores(kit, workload, last)
        asked = f"{kit.name}.evaluate({last!r}) gives {scores[last]}, {when} {again}"
        require(digest(scores[last]) == digest(again), f"{asked}: draw from torch's generator, and keep nothing")


def memory_survives_a_resume(kit: Kit) -> None:
    """A workload whose state_dict went into another one goes on with the same loss."""
    workload = kit.started()
    batches = first(workload, 3)
    for batch in batches[:2]:
        for player in workload.players:
            loss_and_gradients(workload, batch, player)
    other = kit.fresh()
    other.load_state_dict(copy.deepcopy(state_of(workload)))
    for player, net in workload.players.items():
        other.players[player].load_state_dict(net.state_dict())
    other.start_epoch(0, True)
    for player in workload.players:
        ends = [digest(loss_and_gradients(w, batches[-1], player)) for w in (workload, other)]
        require(
            ends[0] == ends[1],
            f"{kit.name} goes on with another loss after a resume: state_dict lacks something, or start_epoch does "
            "again what it may only do if not resuming",
        )


def two_processes_are_one(kit: Kit) -> None:
    """Three updates by plain SGD: the parts that two ranks have give the gradients and memories of one with all."""
    _require_shareable(kit)
    alone, pair = [kit.started()], [kit.started(rank=rank, world=2) for rank in range(2)]
    for parts, shares in zip(_updates(alone), _updates(pair), strict=True):
        for player in alone[0].players:
            expected = _summed_gradients(alone, [parts[0]], player)
            _require_close(_summed_gradients(pair, shares, player), expected, f"{kit.name}: gradients of {player!r}")
            for workload in (*alone, *pair):
                for name, parameter in workload.players[player].named_parameters():
                    if name in expected:
                        parameter.data.sub_(expected[name], alpha=0.01)
        for workload in pair:  # behind an update the loop folds the statistics of all its parts, on every rank
            for player, net in workload.players.items():
                for name, buffer in net.named_buffers():
                    buffer.copy_(alone[0].players[player].get_buffer(name))
    states = merged([state_of(workload) for workload in pair])
    _require_close(states, alone[0].state_dict(), f"{kit.name}.state_dict()")


def processes_evaluate_alike(kit: Kit) -> None:
    """The first one's scores count for all, so that each must be of the whole split."""
    _require_shareable(kit)
    scores = [_scores(kit, kit.started(rank=rank, world=2), kit.splits[0]) for rank in range(2)]
    require(
        digest(scores[0]) == digest(scores[1]),
        f"{kit.name}.evaluate({kit.splits[0]!r}) gives {scores[0]} on one process and {scores[1]} on the other: "
        "evaluate the whole split on every process",
    )


def _scores(kit: Kit, workload: Workload, split: str) -> dict[str, float]:
    torch.default_generator.manual_seed(5)
    with torch.no_grad():
        if kit.task:
            return scores_of(workload, kit.task, split)
        scores = workload.evaluate(split)
    require(all(isinstance(v, float) for v in scores.values()), f"evaluate({split!r}) must return floats: {scores}")
    return scores


def _require_shareable(kit: Kit) -> None:
    if (parts := kit.fresh().protocol.micro_batches) % 2:
        raise Lacks(f"an update has {parts} micro-batches, which two processes cannot share (micro_batch)")


def _require_close(actual: object, expected: object, compared: str) -> None:
    try:
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)
    except AssertionError as error:
        words = " ".join(str(error).split())
        place = re.search(r"for item (\[.+\])", words)
        size = re.search(r"absolute difference: (\S+)", words)
        detail = f"{place[1]} by {size[1]}" if place and size else words
        rule = "a loss is the mean over its own micro-batch, and memory is kept by index % protocol.micro_batches"
        require(False, f"{compared} of two processes are not those of one ({detail}): {rule}")


def _updates(workloads: list[Workload]) -> list[list[list[Batch]]]:
    """The first three updates of an epoch, each as the micro-batches that each of the processes has of it."""
    count = workloads[0].protocol.micro_batches // len(workloads)
    firsts = [first(workload, 3 * count) for workload in workloads]
    return [[batches[i : i + count] for batches in firsts] for i in range(0, len(firsts[0]) // count * count, count)]


def _summed_gradients(workloads: list[Workload], shares: list[list[Batch]], player: str) -> dict[str, Tensor]:
    """Of a player, over all micro-batches of an update, by parameter."""
    summed: dict[str, Tensor] = {}
    for workload, batches in zip(workloads, shares, strict=True):
        for net in workload.players.values():
            net.zero_grad(set_to_none=True)
        for batch in batches:
            torch.default_generator.manual_seed(batch.index)
            (workload.loss(batch, player) / workload.protocol.micro_batches).backward()
        for name, parameter in workload.players[player].named_parameters():
            if parameter.grad is not None:
                summed[name] = summed.get(name, torch.zeros_like(parameter)) + parameter.grad
    return {name: gradient.detach() for name, gradient in summed.items()}
