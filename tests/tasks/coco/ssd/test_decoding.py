"""SSD's boxes are torchvision's, and a perfect network's have AP 100 %."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from optathlon.tasks.coco.settings import LAYOUTS
from optathlon.tasks.coco.ssd.decoding import decode
from optathlon.tasks.coco.ssd.network import Outputs
from optathlon.tasks.coco.ssd.priors import BACKGROUND, encode, match, priors
from optathlon.tasks.metrics.average_precision import Detections, Objects, average_precision
from tests.tasks.coco.ssd.test_loss import torchvisions_ssd


def test_boxes_are_torchvisions() -> None:
    mine = priors(LAYOUTS[300], 300)
    random = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, len(mine), 4, generator=random)
    corrections = torch.randn(2, len(mine), 4, generator=random)
    ours = decode(Outputs(logits, corrections), mine)
    answers = {"bbox_regression": corrections, "cls_logits": logits}
    theirs = torchvisions_ssd(300).postprocess_detections(answers, [mine] * 2, [(1, 1)] * 2)
    for our_boxes, their_boxes in zip(ours, theirs, strict=True):
        assert len(our_boxes.scores) == 200
        torch.testing.assert_close(our_boxes.scores, their_boxes["scores"])
        assert torch.equal(our_boxes.labels + 1, their_boxes["labels"])
        torch.testing.assert_close(our_boxes.corners, their_boxes["boxes"], rtol=1e-4, atol=1e-5)


def test_a_perfect_prediction_has_an_average_precision_of_100_percent() -> None:
    """Each matched prior says its box and its class, all others the background."""
    mine = priors(LAYOUTS[300], 300)
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(3), np.arange(3)), -1).reshape(-1, 2) / 3
    corner = grid + random.uniform(0, 0.05, grid.shape)
    boxes = torch.from_numpy(np.concatenate([corner, corner + random.uniform(0.1, 0.25, grid.shape)], 1)).float()
    labels, owners = torch.arange(9) % 4, torch.arange(9) // 5
    matched = match(mine, boxes, owners, 2, 0.5)
    logits = torch.zeros(2, len(mine), 5)
    kinds = torch.where(matched == BACKGROUND, 0, labels[matched.clamp(min=0)] + 1)
    logits.scatter_(2, kinds[:, :, None], 20.0)
    corrections = encode(boxes[matched.clamp(min=0)].flatten(0, 1), mine.repeat(2, 1)).view(2, -1, 4)
    decoded = decode(Outputs(logits, corrections), mine)
    xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).astype(float)
    objects = Objects(owners.numpy(), labels.numpy(), xywh, np.full(9, 50.0), np.zeros(9, dtype=bool))
    corners = torch.cat([image.corners for image in decoded]).double().numpy()
    detections = Detections(
        np.repeat([0, 1], [len(image.scores) for image in decoded]),
        torch.cat([image.labels for image in decoded]).numpy(),
        np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1),
        torch.cat([image.scores for image in decoded]).double().numpy(),
    )
    assert average_precision(np.array([0, 1]), objects, detections)["ap"] == pytest.approx(100)


def test_outputs_that_are_not_numbers_are_survived() -> None:
    mine = priors(LAYOUTS[300], 300)
    nan = torch.full((1, len(mine), 4), torch.nan)
    assert len(decode(Outputs(nan, nan), mine)[0].scores) == 0
