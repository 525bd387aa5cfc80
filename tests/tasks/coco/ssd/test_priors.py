"""SSD's priors, matching and coding are torchvision's, and those of loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder, SSDMatcher
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from optathlon.tasks.coco.settings import LAYOUTS
from optathlon.tasks.coco.ssd.priors import BACKGROUND, decode, encode, iou, match, priors
from tests.tasks.coco.examples import random_examples


@pytest.mark.parametrize(("size", "count"), [(300, 8732), (512, 24564)])
def test_the_published_numbers_of_priors(size, count) -> None:
    assert LAYOUTS[size].priors == count
    assert priors(LAYOUTS[size], size).shape == (count, 4)


@pytest.mark.parametrize("size", sorted(LAYOUTS))
def test_priors_are_torchvisions(size) -> None:
    grids = LAYOUTS[size].grids
    theirs = DefaultBoxGenerator(
        [list(grid.ratios) for grid in grids],
        scales=[grid.scale for grid in grids] + [grids[-1].next_scale],
        steps=[grid.step for grid in grids],
    )
    features = [torch.zeros(1, 1, grid.cells, grid.cells) for grid in grids]
    expected = theirs(ImageList(torch.zeros(1, 3, size, size), [(size, size)]), features)[0]
    expected = torch.cat([expected[:, :2], expected[:, 2:]], 1) / size
    torch.testing.assert_close(priors(LAYOUTS[size], size), expected, rtol=0, atol=2e-6)


def test_scales_are_the_published_sizes_in_pixels() -> None:
    scales = [grid.scale for grid in LAYOUTS[300].grids] + [LAYOUTS[300].grids[-1].next_scale]
    assert [300 * scale for scale in scales] == pytest.approx([21, 45, 99, 153, 207, 261, 315])


def boxes_in_shares(seed: int, counts: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    examples = random_examples(seed, counts, 300, 3)
    boxes = (examples.boxes / 300).clamp(0, 1)
    return boxes, examples.owners


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("counts", [(6, 0, 40, 1), (0, 0), (3,)])
def test_matching_is_torchvisions_image_by_image(seed, counts) -> None:
    """But for boxes without an area, to which torchvision forces a prior by chance."""
    mine = priors(LAYOUTS[32], 32)
    boxes, owners = boxes_in_shares(seed, counts)
    solid = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
    boxes, owners = boxes[solid], owners[solid]
    matched = match(mine, boxes, owners, len(counts), 0.5)
    for image in range(len(counts)):
        in_image = (owners == image).nonzero().flatten()
        if not len(in_image):
            assert (matched[image] == BACKGROUND).all()
            continue
        theirs = SSDMatcher(0.5)(box_iou(boxes[in_image], mine))
        assert torch.equal(matched[image], torch.where(theirs >= 0, in_image[theirs.clamp(min=0)], BACKGROUND))


def test_each_box_has_a_prior_and_the_larger_overlap_wins() -> None:
    mine = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0], [0.0, 0.5, 0.5, 1.0]])
    boxes = torch.tensor([[0.0, 0.0, 0.4, 0.5], [0.0, 0.0, 0.5, 0.5], [0.9, 0.9, 1.0, 1.0]])
    matched = match(mine, boxes, torch.zeros(3, dtype=torch.long), 1, 0.5)
    assert matched.tolist() == [[1, 2, BACKGROUND]], "the third box's IoU is 0.04, but no other prior is nearer"


def test_a_prior_nearest_to_two_boxes_finds_the_last() -> None:
    mine = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.4, 0.4]])
    assert match(mine, boxes, torch.zeros(2, dtype=torch.long), 1, 0.5).tolist() == [[1, BACKGROUND]]


def test_overlaps_are_torchvisions_and_0_of_empty_boxes() -> None:
    boxes, _ = boxes_in_shares(0, (40,))
    others = priors(LAYOUTS[32], 32)
    solid = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
    torch.testing.assert_close(iou(boxes, others)[solid], box_iou(boxes[solid], others))
    point = torch.tensor([[0.3, 0.3, 0.3, 0.3]])
    assert iou(point, point).tolist() == [[0.0]]


def test_corrections_are_torchvisions_and_lead_back() -> None:
    mine = priors(LAYOUTS[32], 32)[:50]
    random = torch.Generator().manual_seed(0)
    corner = torch.rand(50, 2, generator=random)
    boxes = torch.cat([corner, corner + 0.05 + torch.rand(50, 2, generator=random)], 1)
    coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
    torch.testing.assert_close(encode(boxes, mine), coder.encode_single(boxes, mine), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(decode(encode(boxes, mine), mine), boxes, rtol=1e-4, atol=1e-5)
    wild = 40 * torch.randn(50, 4, generator=random)
    torch.testing.assert_close(decode(wild, mine), coder.decode_single(wild, mine), rtol=1e-4, atol=1e-4)
