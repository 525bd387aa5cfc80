"""SSD's loss is torchvision's."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.ssd import SSD, SSDHead

from optathlon.tasks.coco.settings import LAYOUTS
from optathlon.tasks.coco.ssd.loss import hardest, ssd_loss
from optathlon.tasks.coco.ssd.network import Outputs
from optathlon.tasks.coco.ssd.priors import BACKGROUND, match, priors
from tests.tasks.coco.ssd.test_priors import boxes_in_shares


def torchvisions_ssd(size: int) -> SSD:
    """torchvision's, of which only what it does with outputs is used."""
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator

    grids = LAYOUTS[size].grids
    generator = DefaultBoxGenerator([list(grid.ratios) for grid in grids])
    return SSD(torch.nn.Identity(), generator, (size, size), 4, head=SSDHead([1], [4], 4))


def random_outputs(count: int, width: int, classes: int) -> Outputs:
    random = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(count, width, 1 + classes, generator=random)
    return Outputs(logits.requires_grad_(), torch.randn(count, width, 4, generator=random).requires_grad_())


@pytest.mark.parametrize("counts", [(6, 0, 12), (0, 0)])
def test_the_loss_and_its_gradient_are_torchvisions(counts) -> None:
    mine = priors(LAYOUTS[300], 300)
    boxes, owners = boxes_in_shares(1, counts)
    solid = ((boxes[:, 2:] - boxes[:, :2]) > 0.01).all(1)
    boxes, owners = boxes[solid], owners[solid]
    labels = torch.arange(len(boxes)) % 3
    matched = match(mine, boxes, owners, len(counts), 0.5)
    ours, theirs = (random_outputs(len(counts), len(mine), 3) for _ in range(2))
    loss = ssd_loss(ours, matched, mine, boxes, labels, 3.0)
    loss.backward()
    targets, indices = [], []
    for image in range(len(counts)):
        in_image = (owners == image).nonzero().flatten()
        targets.append({"boxes": boxes[in_image], "labels": labels[in_image] + 1})
        local = torch.searchsorted(in_image, matched[image].clamp(min=0))
        indices.append(torch.where(matched[image] == BACKGROUND, -1, local))
    answers = {"bbox_regression": theirs.corrections, "cls_logits": theirs.logits}
    parts = torchvisions_ssd(300).compute_loss(targets, answers, [mine] * len(counts), indices)
    expected = parts["bbox_regression"] + parts["classification"]
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for in_image, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(in_image.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_hard_negatives_by_hand() -> None:
    """One positive: of five others the three that take the background for the least likely, the first of equals."""
    background = torch.tensor([[0.0, 3.0, -1.0, 0.5, 0.5, 0.5]])
    logits = torch.stack([background, torch.zeros(1, 6)], dim=2)
    positive = torch.tensor([[True, False, False, False, False, False]])
    assert hardest(logits, positive, 3.0).tolist() == [[False, False, True, True, True, False]]
    assert hardest(logits, positive, 9.0).sum() == 5, "no more than there are"
    assert not hardest(logits, torch.zeros_like(positive), 3.0).any()
