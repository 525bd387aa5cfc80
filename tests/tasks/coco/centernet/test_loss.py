"""CenterNet's loss is the formula, place by place."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from optathlon.tasks.coco.centernet.loss import centernet_loss, focal_loss
from optathlon.tasks.coco.centernet.network import Outputs
from optathlon.tasks.coco.centernet.targets import targets
from tests.tasks.coco.examples import random_examples


def literal_focal_loss(logits: Tensor, heatmap: Tensor) -> float:
    total, centers = 0.0, 0
    for x, y in zip(logits.flatten().tolist(), heatmap.flatten().tolist(), strict=True):
        p = min(max(1 / (1 + math.exp(-x)), 1e-4), 1 - 1e-4)
        if y == 1:
            centers += 1
            total -= (1 - p) ** 2 * math.log(p)
        else:
            total -= (1 - y) ** 4 * p**2 * math.log(1 - p)
    return total / max(1, centers)


def random_outputs(classes: int, side: int, count: int) -> Outputs:
    random = torch.Generator().manual_seed(4)
    return Outputs(*(3 * torch.randn(count, n, side, side, generator=random) for n in (classes, 2, 2)))


@pytest.mark.parametrize("counts", [(5, 0, 3), (0, 0, 0)])
def test_the_loss_is_the_sum_of_its_formulas(counts) -> None:
    outputs, asked = random_outputs(3, 16, 3), targets(random_examples(1, counts, 64, 3), 3)
    errors = {"sizes": 0.0, "offsets": 0.0}
    for i, (owner, place) in enumerate(zip(asked.owners.tolist(), asked.places.tolist(), strict=True)):
        for name in errors:
            predicted = getattr(outputs, name)[owner, :, place // 16, place % 16]
            errors[name] += float((predicted - getattr(asked, name)[i]).abs().sum())
    numbers = 2 * len(asked.places) + 1e-4
    expected = literal_focal_loss(outputs.heatmap, asked.heatmap)
    expected += (0.1 * errors["sizes"] + errors["offsets"]) / numbers
    assert centernet_loss(outputs, asked, 0.1).item() == pytest.approx(expected, rel=1e-5)


def test_two_places_by_hand() -> None:
    """A center said with p 0.5, and a place at heat 0.5 said with p 0.5."""
    loss = focal_loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.5]]]]), torch.tensor([0]))
    assert loss.item() == pytest.approx(math.log(2) * (0.25 + 0.25 / 16))


def test_the_gradient_is_finite_where_probabilities_are_0_and_1() -> None:
    logits = torch.tensor([[[[80.0, -80.0, 80.0, -80.0]]]], requires_grad=True)
    focal_loss(logits, torch.tensor([[[[1.0, 1.0, 0.0, 0.0]]]]), torch.tensor([0, 1])).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
