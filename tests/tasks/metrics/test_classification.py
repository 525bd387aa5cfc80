"""Accuracies are the literal ones, and never better than chance for a network that says nothing."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from optathlon.tasks.metrics.classification import classification_scores, correct

CPU = torch.device("cpu")


def test_accuracies_are_those_of_sorting():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(64, 9, generator=random)
    labels = torch.randint(9, (64,), generator=random)
    order = logits.argsort(1, descending=True)
    for k in (1, 5, 9):
        assert correct(logits, labels, k) == sum(int(labels[i]) in order[i, :k].tolist() for i in range(64))


def test_equal_logits_are_no_better_than_chance():
    labels = torch.arange(10)
    assert [int(correct(torch.zeros(10, 10), labels, k)) for k in (1, 5, 10)] == [1, 5, 10]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_no_numbers_are_not_right(bad):
    logits = torch.tensor([[bad, 1.0, 0.0]])
    assert int(correct(logits, torch.tensor([0]))) == (bad == torch.inf)
    assert int(correct(logits, torch.tensor([2]))) == 0


def test_scores_do_not_depend_on_the_batches():
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(10, 4, generator=random)
    labels = torch.randint(4, (10,), generator=random)
    whole = classification_scores([(logits, labels)], CPU, ks=(1, 2))
    parts = classification_scores(zip(logits.split(3), labels.split(3), strict=True), CPU, ks=(1, 2))
    assert whole.accuracies == parts.accuracies == {k: 10.0 * int(correct(logits, labels, k)) for k in (1, 2)}
    assert whole.loss == pytest.approx(parts.loss, rel=1e-6)
    assert whole.loss == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-6)
