"""The retrieval losses are those of pytorch-metric-learning, with their gradients."""

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning.losses import ProxyAnchorLoss, TripletMarginLoss
from pytorch_metric_learning.miners import TripletMarginMiner
from torch import Tensor

from optathlon.tasks.retrieval.losses import proxy_anchor, semihard_triplets, unit


def batch(seed: int, classes: int, count: int = 60, width: int = 32) -> tuple[Tensor, Tensor]:
    """Embeddings (double precision, before normalization) around a common center, and labels."""
    random = torch.Generator().manual_seed(seed)
    center = 1.5 * torch.randn(width, generator=random, dtype=torch.float64)
    embeddings = center + torch.randn(count, width, generator=random, dtype=torch.float64)
    return embeddings, torch.randint(0, classes, (count,), generator=random)


def with_gradient(tensor: Tensor) -> Tensor:
    return tensor.clone().requires_grad_()


@pytest.mark.parametrize(("seed", "classes"), [(0, 3), (1, 12), (2, 200), (3, 1000)])
def test_semihard_triplets_are_the_librarys(seed, classes):
    embeddings, labels = batch(seed, classes)
    ours, theirs = with_gradient(embeddings), with_gradient(embeddings)
    triplets = TripletMarginMiner(margin=0.1, type_of_triplets="semihard")(theirs, labels)
    assert len(triplets[0]) > 50
    expected = TripletMarginLoss(margin=0.1)(theirs, labels, triplets)
    expected.backward()
    loss = semihard_triplets(unit(ours), labels, 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("seed", "classes"), [(0, 3), (1, 12), (2, 200)])
def test_proxy_anchor_is_the_librarys(seed, classes):
    embeddings, labels = batch(seed, classes)
    theirs_module = ProxyAnchorLoss(classes, 32, margin=0.1, alpha=32).double()
    ours, theirs = with_gradient(embeddings), with_gradient(embeddings)
    proxies = with_gradient(theirs_module.proxies.detach())
    expected = theirs_module(theirs, labels)
    expected.backward()
    loss = proxy_anchor(unit(ours), labels, proxies, 0.1, 32.0)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(proxies.grad, theirs_module.proxies.grad, rtol=1e-6, atol=1e-9)


def test_the_pulling_term_counts_proxies_in_the_batch_and_the_pushing_term_all():
    """Kim et al. 2020, equation 4, written out for two photos of one of three classes."""
    embeddings = unit(torch.tensor([[1.0, 0.2], [0.5, 1.0]], dtype=torch.float64))
    proxies = torch.tensor([[1.0, 0.0], [0.0, 3.0], [-2.0, 0.1]], dtype=torch.float64)
    s = embeddings @ unit(proxies).T
    pull = torch.log(1 + torch.exp(-32 * (s[:, 1] - 0.1)).sum()) / 1
    push = sum(torch.log(1 + torch.exp(32 * (s[:, c] + 0.1)).sum()) for c in (0, 2)) / 3
    assert proxy_anchor(embeddings, torch.tensor([1, 1]), proxies, 0.1, 32.0).item() == pytest.approx(
        (pull + push).item()
    )


def test_proxy_anchor_does_not_overflow_in_single_precision():
    embeddings = with_gradient(unit(torch.ones(4, 8)))
    proxies = with_gradient(torch.ones(2, 8))
    loss = proxy_anchor(embeddings, torch.tensor([0, 0, 1, 1]), proxies, 0.1, 1000.0)
    loss.backward()
    assert loss.isfinite()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 4, 5], [0] * 6])
def test_a_batch_without_triplets_gives_a_zero_that_can_be_descended(labels):
    embeddings = with_gradient(unit(batch(0, 3, count=6)[0]))
    loss = semihard_triplets(embeddings, torch.tensor(labels), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad is not None
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


def test_identical_photos_have_finite_gradients():
    embeddings = with_gradient(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.05]]))
    loss = semihard_triplets(embeddings, torch.tensor([0, 0, 1]), 0.1)
    loss.backward()
    assert 0 < loss.item() < 0.1
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


def test_only_negatives_farther_than_the_positive_by_less_than_the_margin_count():
    """On a line: the positive at distance 1; negatives at 0.9 (hard), 1.04 (semi-hard), 1.2 (easy)."""
    embeddings = torch.tensor([[0.0], [1.0], [-0.9], [-1.04], [-1.2]], dtype=torch.float64)
    loss = semihard_triplets(embeddings, torch.tensor([0, 0, 1, 2, 3]), 0.1)
    assert loss.item() == pytest.approx(0.1 - 0.04)
