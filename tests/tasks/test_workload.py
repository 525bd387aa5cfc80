"""What a workload has loaded goes to its device by copies that are not waited for."""

from __future__ import annotations

import pytest
import torch

from optathlon.tasks.workload import COPIED_AT_ONCE, Workload

LARGE, SMALL = (torch.zeros(COPIED_AT_ONCE + more, dtype=torch.uint8) for more in (1, 0))


@pytest.fixture
def copied(monkeypatch):
    """The copies that are made, (bytes, from page-locked memory, without a wait), where there is no GPU."""
    seen, locked = [], []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        locked.append(tensor.clone())
        return locked[-1]

    def to(tensor: torch.Tensor, device: torch.device, non_blocking: bool = False) -> torch.Tensor:
        seen.append((tensor.nbytes, any(tensor is other for other in locked), non_blocking))
        return tensor

    for name, method in (("pin_memory", pin), ("to", to), ("is_pinned", lambda tensor: tensor.dtype == torch.int64)):
        monkeypatch.setattr(torch.Tensor, name, method)
    return seen


def put(device: str, *tensors: torch.Tensor) -> None:
    class Stub:
        pass

    workload = Stub()
    workload.device = torch.device(device)  # type: ignore[attr-defined]
    for tensor in tensors:
        Workload.on_device(workload, tensor)  # type: ignore[arg-type]


def test_for_a_gpu_what_is_large_is_put_into_page_locked_memory_unless_it_is_there(copied):
    there = torch.zeros(COPIED_AT_ONCE, dtype=torch.int64)  # as the stub has it
    put("cuda", LARGE, SMALL, there)
    assert copied == [(LARGE.nbytes, True, True), (SMALL.nbytes, False, True), (there.nbytes, False, True)]


def test_on_a_cpu_nothing_is_copied_twice(copied):
    put("cpu", LARGE)
    assert copied == [(LARGE.nbytes, False, True)]
