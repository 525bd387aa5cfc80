"""What CenterNet's maps say is read off as the reference code does, and a perfect network has AP 100 %."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from optathlon.tasks.coco.centernet.decoding import decode
from optathlon.tasks.coco.centernet.network import Outputs
from optathlon.tasks.coco.centernet.targets import targets
from optathlon.tasks.coco.photos import Examples
from optathlon.tasks.metrics.average_precision import Detections, Objects, average_precision


def perfect(examples: Examples, classes: int) -> Outputs:
    """The outputs that the targets of `examples` ask for."""
    asked = targets(examples, classes)
    sizes, offsets = (torch.zeros(len(asked.heatmap), 2, asked.heatmap[0, 0].numel()) for _ in range(2))
    sizes[asked.owners, :, asked.places] = asked.sizes
    offsets[asked.owners, :, asked.places] = asked.offsets
    shape = (len(sizes), 2, *asked.heatmap.shape[2:])
    return Outputs(torch.logit(asked.heatmap.clamp(1e-6, 1 - 1e-6)), sizes.view(shape), offsets.view(shape))


def test_a_perfect_prediction_has_an_average_precision_of_100_percent() -> None:
    """Objects of one class in each image, whose centers lie in different places."""
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(-1, 2) * 64.0
    corners = np.concatenate([grid + random.uniform(0, 20, grid.shape), grid + random.uniform(30, 60, grid.shape)], 1)
    boxes = torch.from_numpy(np.concatenate([corners, corners + 2.3])).float()
    owners, labels = torch.arange(2).repeat_interleave(16), torch.arange(32) % 5
    examples = Examples(torch.zeros(2, 3, 320, 320, dtype=torch.uint8), boxes, labels, owners)
    decoded = decode(perfect(examples, 5))
    xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).astype(float)
    objects = Objects(owners.numpy(), labels.numpy(), xywh, xywh[:, 2] * xywh[:, 3], np.zeros(32, dtype=bool))
    flat = decoded.corners.flatten(0, 1).double().numpy()
    images = np.repeat([0, 1], decoded.scores.shape[1])
    detections = Detections(
        images,
        decoded.labels.flatten().numpy(),
        np.concatenate([flat[:, :2], flat[:, 2:] - flat[:, :2]], 1),
        decoded.scores.double().flatten().numpy(),
    )
    assert average_precision(np.array([0, 1]), objects, detections)["ap"] == pytest.approx(100)


def test_boxes_are_those_read_off_place_by_place() -> None:
    random = torch.Generator().manual_seed(0)
    outputs = Outputs(*(torch.randn(2, n, 7, 5, generator=random) for n in (3, 2, 2)))
    decoded = decode(outputs, most=8)
    for image in range(2):
        peaks = []
        for c, y, x in np.ndindex(3, 7, 5):
            around = outputs.heatmap[image, c, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            if outputs.heatmap[image, c, y, x] == around.max():
                w, h = outputs.sizes[image, :, y, x].tolist()
                cx, cy = x + float(outputs.offsets[image, 0, y, x]), y + float(outputs.offsets[image, 1, y, x])
                box = [4 * (cx - w / 2), 4 * (cy - h / 2), 4 * (cx + w / 2), 4 * (cy + h / 2)]
                peaks.append((float(outputs.heatmap[image, c, y, x].sigmoid()), c, box))
        peaks.sort(key=lambda peak: -peak[0])
        assert decoded.scores[image].tolist() == pytest.approx([p[0] for p in peaks[:8]])
        assert decoded.labels[image].tolist() == [p[1] for p in peaks[:8]]
        np.testing.assert_allclose(decoded.corners[image], [p[2] for p in peaks[:8]], rtol=1e-4, atol=1e-4)
