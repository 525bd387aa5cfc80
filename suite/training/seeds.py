"""Seeds torch's generators from names, so that checkpoints need no random state and optimizers see the same masks."""

from __future__ import annotations

import torch

from optathlon.tasks.randomness import derive


def seed(device: torch.device, *names: object) -> None:
    """Seed the CPU's generator and the device's own. (torch.manual_seed costs 100 times more with the CUDA build.)"""
    number = derive(*names)
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.init()  # a GPU has no generator before
        torch.cuda.default_generators[device.index or 0].manual_seed(number)
