"""The Hilbert-Schmidt independence criterion, by which ReBias measures how alike two representations are."""

from __future__ import annotations

import torch
from torch import Tensor

from optathlon.tasks.rebias.settings import FEWEST


def hsic(x: Tensor, y: Tensor, sigma: float, sigma_y: float | None = None) -> Tensor:
    """The unbiased estimate of HSIC between x (m, p) and y (m, q) with RBF kernels of width `sigma`; a scalar.

    sigma_y: the width of y's kernel, if it is not `sigma` as well.

    Zero in expectation for independent features, so an estimate may be negative. ValueError for less than 4 samples.
    Source: Song et al. 2012, "Feature selection via dependence maximization"; ReBias, criterions/hsic.py, which
    subtracts 1 from every entry instead of zeroing the diagonals: for RBF kernels that comes to the same value.
    """
    m = len(x)
    if m < FEWEST or len(y) != m:
        raise ValueError(f"HSIC needs two batches of the same size, at least {FEWEST}, not {m} and {len(y)}")
    kernel_x, kernel_y = _kernel(x, sigma), _kernel(y, sigma if sigma_y is None else sigma_y)
    columns_x, columns_y = kernel_x.sum(0), kernel_y.sum(0)
    trace = (kernel_x * kernel_y).sum()
    means = columns_x.sum() * columns_y.sum() / ((m - 1) * (m - 2))
    return (trace + means - 2 * columns_x.dot(columns_y) / (m - 2)) / (m * (m - 3))


def _kernel(x: Tensor, sigma: float) -> Tensor:
    """exp(-d^2 / (2 sigma^2)) of all pairs of rows, with a zero diagonal."""
    apart = ~torch.eye(len(x), dtype=torch.bool, device=x.device)
    return torch.exp(squared_distances(x) / (-2 * sigma**2)) * apart


def squared_distances(x: Tensor) -> Tensor:
    """Between all pairs of rows of x (m, p): (m, m), within rounding zero or more."""
    norms = x.square().sum(1)
    return norms[:, None] + norms[None] - 2 * x @ x.T
