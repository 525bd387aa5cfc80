"""CenterNet's targets are those of loops over objects and of hand-computed cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from optathlon.tasks.coco.centernet.targets import draw_gaussians, radii, targets
from optathlon.tasks.coco.photos import Examples
from tests.tasks.coco.examples import random_examples


def literal_radius(height: int, width: int) -> int:
    """CornerNet's three quadratics, as its reference code first had them."""
    o = 0.7
    first = (height + width + math.sqrt((height + width) ** 2 - 4 * width * height * (1 - o) / (1 + o))) / 2
    second = (2 * (height + width) + math.sqrt(4 * (height + width) ** 2 - 16 * (1 - o) * width * height)) / 2
    b = -2 * o * (height + width)
    third = (b + math.sqrt(b * b - 16 * o * (o - 1) * width * height)) / 2
    return max(0, int(min(first, second, third)))


def literal_heatmap(examples: Examples, classes: int) -> np.ndarray:
    """Object by object and place by place."""
    count, _, height, width = examples.pixels.shape
    high, wide = height // 4, width // 4
    maps = np.zeros((count, classes, high, wide))
    for box, label, owner in zip(examples.boxes.numpy(), examples.labels, examples.owners, strict=True):
        left, right = np.clip(box[[0, 2]] / np.float32(4), 0, wide - 1)
        top, bottom = np.clip(box[[1, 3]] / np.float32(4), 0, high - 1)
        if right <= left or bottom <= top:
            continue
        radius = literal_radius(math.ceil(bottom - top), math.ceil(right - left))
        cx, cy = int((left + right) / 2), int((top + bottom) / 2)
        sigma = (2 * radius + 1) / 6
        for y in range(max(0, cy - radius), min(high, cy + radius + 1)):
            for x in range(max(0, cx - radius), min(wide, cx + radius + 1)):
                value = math.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
                maps[owner, label, y, x] = max(maps[owner, label, y, x], value)
    return maps


@pytest.mark.parametrize("seed", range(3))
def test_heatmaps_are_those_drawn_object_by_object(seed) -> None:
    examples = random_examples(seed, (9, 0, 1, 14), size=96, classes=3)
    np.testing.assert_allclose(targets(examples, 3).heatmap.numpy(), literal_heatmap(examples, 3), atol=1e-6)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 9), (30, 30), (127, 3), (127, 127)])
def test_radii_are_cornernets(width, height) -> None:
    assert radii(torch.tensor([[width, height]])).tolist() == [literal_radius(height, width)]


def test_a_hand_computed_object() -> None:
    """64 x 32 pixels from (20, 8): 16 x 8 places from (5, 2), middle (13, 6); radius 3 by the third case."""
    examples = Examples(
        pixels=torch.zeros(1, 3, 128, 128, dtype=torch.uint8),
        boxes=torch.tensor([[20.0, 8.0, 84.0, 42.0]]),
        labels=torch.tensor([1]),
        owners=torch.tensor([0]),
    )
    asked = targets(examples, classes=2)
    assert asked.sizes.tolist() == [[16.0, 8.5]]
    assert asked.places.tolist() == [6 * 32 + 13]
    assert asked.offsets.tolist() == [[0.0, 0.25]]
    assert radii(asked.sizes).tolist() == [literal_radius(9, 16)] == [3]
    assert not asked.heatmap[0, 0].any()
    row = asked.heatmap[0, 1, 6]
    expected = [math.exp(-(d**2) / (2 * (7 / 6) ** 2)) for d in (3, 2, 1, 0, 1, 2, 3)]
    assert row[10:17].tolist() == pytest.approx(expected, rel=1e-6)
    assert not row[:10].any()
    assert not row[17:].any()


def test_boxes_beyond_the_border_are_clipped_and_empty_ones_left_out() -> None:
    boxes = torch.tensor(
        [[-50.0, -50.0, 10.0, 10.0], [200.0, 0.0, 300.0, 10.0], [8.0, 8.0, 8.0, 30.0], [8.0, 8.0, 9.0, 9.0]]
    )
    labels = torch.arange(4)
    wanted = targets(Examples(torch.zeros(1, 3, 128, 128), boxes, labels, torch.zeros(4, dtype=torch.long)), classes=4)
    assert wanted.sizes.tolist() == [[2.5, 2.5], [0.25, 0.25]], "one box is outside, one has no width"
    assert wanted.heatmap.flatten(2).amax(2).tolist() == [[1.0, 0.0, 0.0, 1.0]]


def test_of_meeting_gaussians_of_one_class_the_larger_value_counts() -> None:
    maps = torch.zeros(1, 9, 9)
    draw_gaussians(maps, torch.tensor([0, 0]), torch.tensor([[3, 4], [5, 4]]), torch.tensor([2, 2]))
    between = math.exp(-1 / (2 * (5 / 6) ** 2))
    assert maps[0, 4, 3:6].tolist() == pytest.approx([1.0, between, 1.0])


@pytest.mark.parametrize("counts", [(5, 0, 3), (40, 40), (0, 0)])
def test_peaks_are_the_places_of_value_1(counts) -> None:
    """Also where two objects of a class have one center."""
    wanted = targets(random_examples(2, counts, size=64, classes=2), 2)
    assert torch.equal(wanted.peaks, (wanted.heatmap.flatten() == 1).nonzero().squeeze(1))


def test_no_objects_at_all() -> None:
    examples = random_examples(0, (0, 0), size=64, classes=3)
    wanted = targets(examples, 3)
    assert not wanted.heatmap.any()
    assert len(wanted.places) == 0
