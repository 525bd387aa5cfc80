"""SSD's view of photos: zoom-out and cuts as torchvision draws them, colors by torchvision itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from optathlon.tasks.coco.ssd.augmentation import FILL, random_cut, random_view, recolored

BOXES = np.array([[10.0, 20.0, 60.0, 50.0], [70.0, 10.0, 95.0, 55.0], [40.0, 40.0, 46.0, 47.0]])
WIDTH, HEIGHT, DRAWS = 100, 60, 500


def described(cuts: np.ndarray) -> np.ndarray:
    """Means and deviations of corners and sides, and how many are no cut."""
    whole = (cuts == (0, 0, WIDTH, HEIGHT)).all(1)
    numbers = np.column_stack([cuts, cuts[:, 2:] - cuts[:, :2], 50 * whole])
    return np.concatenate([numbers.mean(0), numbers.std(0)])


@pytest.mark.slow
def test_cuts_are_those_of_torchvision_in_distribution() -> None:
    boxes = tv_tensors.BoundingBoxes(torch.from_numpy(BOXES), format="XYXY", canvas_size=(HEIGHT, WIDTH))
    torch.default_generator.manual_seed(0)
    theirs = []
    for _ in range(DRAWS):
        p = v2.RandomIoUCrop().make_params([boxes])
        whole = (0, 0, WIDTH, HEIGHT)
        theirs.append((p["left"], p["top"], p["left"] + p["width"], p["top"] + p["height"]) if p else whole)
    random = np.random.default_rng(0)
    ours = np.array([random_cut(WIDTH, HEIGHT, BOXES, random) for _ in range(DRAWS)])
    np.testing.assert_allclose(described(ours), described(np.array(theirs)), atol=5.0)  # a mean's deviation is 1.2


def test_boxes_with_their_middle_in_the_window_are_kept_and_one_always_is() -> None:
    for seed in range(200):
        window, is_shown = random_view(WIDTH, HEIGHT, BOXES, 64, np.random.default_rng(seed))
        middles = (BOXES[:, :2] + BOXES[:, 2:]) / 2
        inside = ((middles > (window.left, window.top)) & (middles < (window.right, window.bottom))).all(1)
        assert is_shown.tolist() == inside.tolist()
        assert is_shown.any()
        assert window.right - window.left <= 4 * WIDTH


def test_boxes_of_which_less_than_a_pixel_is_left_are_dropped_as_torchvision_does() -> None:
    """Also at a window's border, where a pixel is counted before the photo is resized."""
    random = np.random.default_rng(3)
    begins = random.uniform(0, (WIDTH, HEIGHT), (60, 2))
    thin = np.concatenate([begins, begins + 10 ** random.uniform(-7, 1, (60, 2))], axis=1)
    boxes = np.concatenate([BOXES, thin.clip(0, [WIDTH, HEIGHT, WIDTH, HEIGHT])])
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    for seed in range(50):
        window, is_shown = random_view(WIDTH, HEIGHT, boxes, 64, np.random.default_rng(seed))
        within = ((middles > (window.left, window.top)) & (middles < (window.right, window.bottom))).all(1)
        size = (window.bottom - window.top, window.right - window.left)
        moved = torch.from_numpy(boxes[within] - [window.left, window.top, window.left, window.top])
        cut = v2.ClampBoundingBoxes()(tv_tensors.BoundingBoxes(moved, format="XYXY", canvas_size=size))
        expected = v2.SanitizeBoundingBoxes()({"boxes": cut, "labels": torch.from_numpy(np.flatnonzero(within))})
        assert np.flatnonzero(is_shown).tolist() == expected["labels"].tolist()


def test_photos_are_zoomed_out_half_the_time_by_up_to_4() -> None:
    views = [random_view(WIDTH, HEIGHT, BOXES, 64, np.random.default_rng(seed)).window for seed in range(1000)]
    beyond = [w for w in views if w.left < 0 or w.top < 0 or w.right > WIDTH or w.bottom > HEIGHT]
    assert 350 < len(beyond) < 500, "half, but some are cut back into the photo"
    assert 430 < sum(w.mirrored for w in views) < 570
    assert FILL == (124, 116, 104)


def test_a_photo_without_boxes_is_not_cut() -> None:
    cuts = {tuple(random_cut(9, 7, np.empty((0, 4)), np.random.default_rng(seed)).tolist()) for seed in range(20)}
    assert cuts == {(0, 0, 9, 7)}


def test_a_photo_of_one_pixel_is_survived() -> None:
    window, kept = random_view(1, 1, np.array([[0.0, 0.0, 1.0, 1.0]]), 64, np.random.default_rng(1))
    assert kept.tolist() == [True]
    assert window.right > window.left


@pytest.mark.parametrize("seed", range(3))
def test_colors_are_torchvisions_and_leave_its_generator_alone(seed) -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8))
    torch.default_generator.manual_seed(7)
    before = torch.get_rng_state()
    ours = recolored(photo, seed)
    assert torch.equal(torch.get_rng_state(), before)
    torch.default_generator.manual_seed(seed)
    assert ours.tobytes() == v2.RandomPhotometricDistort()(photo).tobytes()
