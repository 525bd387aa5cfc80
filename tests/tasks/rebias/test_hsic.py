"""HSIC: the unbiased estimator of Song et al., checked by its definition and against the form of the published code."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from optathlon.tasks.rebias.hsic import hsic


def features(seed: int, m: int, width: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(m, width)))


def rbf(x: Tensor, sigma: float) -> Tensor:
    return torch.exp(-(x[:, None] - x[None]).square().sum(2) / (2 * sigma**2))


@pytest.mark.parametrize("sigma", [1.0, 2.5])
def test_it_is_the_mean_over_all_four_different_samples(sigma: float) -> None:
    """E k(1,2) (l(1,2) + l(3,4) - 2 l(1,3)): the definition, by brute force."""
    x, y = features(0, 7, 3), features(1, 7, 2)
    k, l_ = rbf(x, sigma), rbf(y, sigma)
    terms = [k[a, b] * (l_[a, b] + l_[c, d] - 2 * l_[a, c]) for a, b, c, d in itertools.permutations(range(7), 4)]
    assert hsic(x, y, sigma).item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-10)


@pytest.mark.parametrize("m", [4, 96, 256])
def test_for_rbf_kernels_it_equals_the_published_code_that_subtracts_the_diagonal_everywhere(m: int) -> None:
    x, y = features(0, m, 5), features(1, m, 4)
    k, l_ = rbf(x, 1.0) - 1, rbf(y, 1.0) - 1
    broadcast = torch.trace(k @ l_) + k.sum() * l_.sum() / (m - 1) / (m - 2) - 2 * k.sum(0).dot(l_.sum(0)) / (m - 2)
    assert hsic(x, y, 1.0).item() == pytest.approx(broadcast.item() / (m * (m - 3)), abs=1e-14)


def test_it_is_zero_on_average_for_independent_features_and_positive_for_the_same() -> None:
    apart = [hsic(features(2 * i, 32, 4), features(2 * i + 1, 32, 4), 2.0).item() for i in range(400)]
    error = np.std(apart) / math.sqrt(len(apart))
    assert abs(np.mean(apart)) < 4 * error
    assert min(apart) < 0, "an unbiased estimator of zero is sometimes negative"
    x = features(0, 32, 4)
    assert hsic(x, x, 2.0).item() > 20 * error


def test_its_gradient_is_right_and_finite_where_rows_coincide() -> None:
    x, y = features(0, 6, 3).requires_grad_(), features(1, 6, 3)
    assert torch.autograd.gradcheck(lambda x: hsic(x, y, 1.0), (x,))
    same = torch.ones(6, 3, requires_grad=True)
    hsic(same, y.float(), 1.0).backward()
    assert same.grad is not None
    assert torch.isfinite(same.grad).all()


@pytest.mark.parametrize(("m", "other"), [(3, 3), (5, 6)])
def test_fewer_than_four_samples_or_unequal_numbers_are_refused(m: int, other: int) -> None:
    with pytest.raises(ValueError, match="at least 4"):
        hsic(torch.zeros(m, 2), torch.zeros(other, 2), 1.0)


def test_each_kernel_may_have_its_own_width() -> None:
    x, y = features(0, 6, 3), features(1, 6, 2)
    k, l_ = rbf(x, 0.7), rbf(y, 3.0)
    terms = [k[a, b] * (l_[a, b] + l_[c, d] - 2 * l_[a, c]) for a, b, c, d in itertools.permutations(range(6), 4)]
    assert hsic(x, y, 0.7, 3.0).item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-10)
    assert hsic(y, x, 3.0, 0.7).item() == pytest.approx(hsic(x, y, 0.7, 3.0).item(), rel=1e-10)
