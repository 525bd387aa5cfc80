"""Weights of every shape that matters to the projection, gradients for each view, and a training on them."""

import pytest
import torch

HOW = pytest.mark.parametrize(
    "how", [{"foreach": False}, {"foreach": True}, {"fused": True}], ids=["single", "foreach", "fused"]
)
SHAPES = {
    "conv": (8, 4, 3, 3),
    "layer": (6, 10),
    "free": (5, 7),
    "transposed": (4, 6, 2, 2),
    "grouped": (8, 1, 3, 3),
    "gain": (9, 1),
    "one_row": (1, 12),
    "bias": (8,),
    "scalar": (),
    "zero_rows": (4, 5),
    "zero": (3, 4),
}


def start(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    params = {n: torch.randn(s, dtype=torch.float64, generator=generator).to(dtype) for n, s in SHAPES.items()}
    params["zero"].zero_()
    params["zero_rows"][2:] = 0
    return {name: p.requires_grad_() for name, p in params.items()}


def gradients(params, generator):
    """Random ones: orthogonal to the weight by channel, as a whole only, or not at all, by name."""
    for name, p in params.items():
        w = p.detach().double()
        g = torch.randn(w.shape, dtype=torch.float64, generator=generator)
        if name in ("conv", "grouped", "one_row"):
            rows, wr = g.flatten(1), w.flatten(1)
            rows -= (rows * wr).sum(1, keepdim=True) / (wr * wr).sum(1, keepdim=True) * wr
        elif name in ("layer", "transposed"):
            g -= (g * w).sum() / (w * w).sum() * w
        elif name == "free":
            g += w
        p.grad = g.to(p.dtype)


def train(optimizer_class, steps=20, dtype=torch.float64, seed=1, **options):
    params = start(dtype)
    optimizer = optimizer_class(list(params.values()), **options)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        gradients(params, generator)
        optimizer.step()
    return params, optimizer


def distance(ours, theirs) -> float:
    return max(((p - theirs[n]).abs().max() / theirs[n].abs().max().clamp_min(1)).item() for n, p in ours.items())
