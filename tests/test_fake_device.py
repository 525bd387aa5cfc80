"""The device that stands for a GPU in tests tells what a host would wait for."""

from __future__ import annotations

import contextlib

import pytest
import torch

from tests.fake_device import DEVICE, Waits

HOST = torch.arange(3.0)


def there() -> torch.Tensor:
    return torch.empty(3, device=DEVICE)


@pytest.mark.parametrize(
    "action",
    [
        lambda: HOST.to(DEVICE),
        lambda: there().copy_(HOST),
        lambda: there().item(),
        lambda: bool(there().all()),
        lambda: there().nonzero(),
        lambda: there()[there() > 0],
    ],
    ids=["to", "copy_", "item", "bool", "nonzero", "mask"],
)
def test_it_sees_what_is_waited_for(action):
    """Or torch refuses it, as it does where there is no number to be read."""
    with Waits() as waits, contextlib.suppress(RuntimeError, NotImplementedError):
        action()
        assert waits.seen


@pytest.mark.parametrize(
    "action",
    [
        lambda: HOST.to(DEVICE, non_blocking=True),
        lambda: there().copy_(HOST, non_blocking=True),
        lambda: there() + 1.0,
        lambda: there()[torch.tensor([0, 2])],
        lambda: HOST[HOST > 0].sum().item(),
    ],
    ids=["to", "copy_", "add", "index", "host"],
)
def test_it_sees_nothing_where_nothing_is_waited_for(action):
    with Waits() as waits:
        action()
    assert waits.seen == []
