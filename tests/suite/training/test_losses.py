"""Losses stay on the device until many are read at once; what comes of them does not depend on when that is."""

from __future__ import annotations

import math

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from optathlon.suite.training.loop import update
from optathlon.suite.training.losses import Losses
from optathlon.suite.training.state import LOG_EVERY, State
from optathlon.suite.working.execute import build
from optathlon.tasks.verified_workload import micro_batches
from tests.suite.training.runs import run_of

READS = {"item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "__array__", "equal"}
"""Calls from Python that wait for a device until it has come to the number."""


class Waits(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in READS:
            self.seen.append(func.__name__)
        return func(*args, **(kwargs or {}))


class Scalars(TorchDispatchMode):
    """Numbers that operators of torch themselves read."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.__name__.partition(".")[0] in ("_local_scalar_dense", "nonzero", "equal"):
            self.seen.append(func.__name__)
        return func(*args, **(kwargs or {}))


def noted(values, read_at=(), players=("model",)) -> Losses:
    """`values` of as many updates, the same for each player, read after the updates `read_at`."""
    losses = Losses(players)
    for number, value in enumerate(values):
        losses.note(number, {name: torch.tensor(value) for name in players})
        if number in read_at:
            losses.read()
    return losses


VALUES = [math.sin(7.0 * number) * 10.0 ** (number % 9 - 4) for number in range(120)]


@pytest.mark.parametrize("read_at", [(), range(120), (3, 4, 70), (49, 99)])
def test_a_mean_is_that_of_float64_sums_taken_update_by_update_whenever_they_are_read(read_at):
    total = torch.zeros((), dtype=torch.float64)
    for value in VALUES:
        total += torch.tensor(value).double()
    assert noted(VALUES, read_at).take_means() == {"model": float(total) / len(VALUES)}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("read_at", [(), range(120), (16, 17), (99,)])
def test_the_first_update_that_is_not_finite_is_found_whenever_they_are_read(bad, read_at):
    losses = noted([*VALUES[:17], bad, 1.0, bad, -bad], read_at)
    assert losses.first_bad == (17 if 17 in read_at else -1)
    losses.read()
    assert losses.first_bad == 17
    assert math.isnan(losses.take_means()["model"])
    assert losses.first_bad == 17


def test_each_player_has_a_mean_of_its_own_and_any_of_them_may_be_the_bad_one():
    losses = Losses(["biased", "model"])
    for number, (biased, model) in enumerate([(1.0, 10.0), (2.0, math.inf), (math.nan, 30.0)]):
        losses.note(number, {"biased": torch.tensor(biased), "model": torch.tensor(model)})
    losses.read()
    assert losses.first_bad == 1
    losses = noted([1.0, 2.0, 6.0], players=("biased", "model"))
    assert losses.take_means() == {"biased": 3.0, "model": 3.0}


def test_after_a_border_the_sums_begin_anew():
    losses = noted([1.0, 2.0])
    assert losses.take_means() == {"model": 1.5}
    assert losses.take_means() == {}
    losses.note(2, {"model": torch.tensor(7.0)})
    assert losses.take_means() == {"model": 7.0}


@pytest.mark.parametrize("stop", [0, 1, 17, 18, 60])
def test_a_checkpoint_between_changes_neither_sum_nor_update(stop):
    values = [*VALUES[:17], math.nan, *VALUES[17:]]
    whole, first, second = noted(values), noted(values[:stop]), Losses(["model"])
    second.load_state_dict(first.state_dict())
    for number, value in enumerate(values[stop:], stop):
        second.note(number, {"model": torch.tensor(value)})
    whole.read()
    second.read()
    assert (second.first_bad, second.updates) == (whole.first_bad, whole.updates) == (17, len(values))
    assert str(second.take_means()) == str(whole.take_means())


def test_what_earlier_versions_saved_is_read():
    saved = {"sums": {"model": torch.tensor(6.0, dtype=torch.float64)}, "summed": 4, "first_bad": torch.tensor(-1)}
    losses = Losses(["model"])
    losses.load_state_dict({**saved, "curve": {}})
    assert (losses.first_bad, losses.take_means()) == (-1, {"model": 1.5})


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_between_logged_updates_nothing_is_read_from_the_device(optimizer, tmp_path):
    run = run_of(optimizer)
    state = State(run, build(run, tmp_path, torch.device("cpu"), 0))
    parts = list(micro_batches(state.workload, 0, 0))[: run.protocol.micro_batches]
    state.sample_at = -1  # norms are read at borders, which may wait
    state.update, state.of = 1, 10**9

    def go_on_to(last: int) -> list[str]:
        with Waits() as waits, Scalars() as scalars:
            while state.update < last:
                state.advance(parts, {"model": update(state, "model", parts)})
        return [*waits.seen, *scalars.seen]

    assert go_on_to(LOG_EVERY - 1) == []
    assert go_on_to(LOG_EVERY) == ["tolist"]
