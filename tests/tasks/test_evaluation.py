"""Evaluation leaves no trace, skips nothing and adds up exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from optathlon.tasks import TaskError
from optathlon.tasks.evaluation import Totals, batched, evaluating, split_of


class Counter(nn.Module):
    """A buffer that moves whenever it is called, in eval mode as well."""

    calls: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x


def test_inside_nothing_trains():
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    with evaluating(net):
        assert not any(module.training for module in net.modules())
        assert not net(torch.ones(3, 2)).requires_grad
    assert net(torch.ones(3, 2)).requires_grad


def test_each_modes_and_buffers_are_as_before_also_after_an_error():
    net = nn.Sequential(nn.BatchNorm1d(2).eval(), nn.Dropout(), counter := Counter())

    def fail() -> None:
        with evaluating(net):
            net(torch.ones(3, 2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [module.training for module in net.modules()] == [True, False, True, True]
    assert counter.calls == 0


def test_batches_are_whole_but_the_last():
    assert [batch.tolist() for batch in batched(5, 2)] == [[0, 1], [2, 3], [4]]
    assert batched(0, 2) == []
    assert batched(2, 5)[0].dtype == np.int64


def test_totals_are_exact_where_single_precision_is_not():
    totals = Totals(torch.device("cpu"))
    for _ in range(3):
        totals.add(2, large=torch.tensor(2.0**24), right=torch.tensor(1))
        totals.add(0, large=torch.tensor(1.0))
    assert totals.sums() == {"large": 3 * 2.0**24 + 3, "right": 3.0}
    assert totals.means() == {"large": 2.0**23 + 0.5, "right": 0.5}


def test_a_split_that_a_run_does_not_have_is_named_with_those_that_it_has():
    splits = {"test": [1, 2], "validation": [3]}
    assert split_of(splits, "validation") == [3]
    with pytest.raises(TaskError, match=r"^split: this run has no 'tset' \(did you mean test\?\)$"):
        split_of(splits, "tset")
    with pytest.raises(TaskError, match=r"^split: this run has no 'dev' \(known: test, validation\)$"):
        split_of(splits, "dev")
