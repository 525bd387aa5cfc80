"""CenterNet's view of photos: windows within the published bounds, colors as changed one after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from optathlon.tasks.coco.centernet.augmentation import (
    EIGENVALUES,
    EIGENVECTORS,
    GRAY,
    MEAN,
    SCALES,
    STD,
    fixed_window,
    random_tint,
    random_window,
    tinted,
    untinted,
    whole_window,
)


def literal_colors(rgb: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The reference code's steps one by one, on blue, green, red from 0 to 1."""
    image = rgb[:, :, ::-1] / 255
    gray = image @ np.array(GRAY)
    mean = gray.mean()
    for change in random.permutation(["brightness", "contrast", "saturation"]):
        alpha = 1 + random.uniform(-0.4, 0.4)
        other = {"brightness": 0.0, "contrast": mean, "saturation": gray[:, :, None]}[change]
        image = alpha * image + (1 - alpha) * other
    image = image + np.array(EIGENVECTORS) @ (np.array(EIGENVALUES) * random.normal(scale=0.1, size=3))
    return (image - MEAN) / STD


@pytest.mark.parametrize("seed", range(8))
def test_colors_are_those_of_changing_them_step_by_step(seed) -> None:
    photo = np.random.default_rng(99).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    tint = random_tint(np.random.default_rng(seed))
    ours = tinted(torch.from_numpy(photo.copy()).permute(2, 0, 1)[None], torch.tensor([tint.row()]))
    expected = literal_colors(photo, np.random.default_rng(seed))
    np.testing.assert_allclose(ours[0].permute(1, 2, 0), expected, atol=1e-5)


def test_unchanged_colors_are_normalized_by_blue_green_red() -> None:
    pixels = torch.tensor([255, 0, 51], dtype=torch.uint8)[None, :, None, None]
    b, g, r = untinted(pixels).flatten().tolist()
    assert (b, g, r) == pytest.approx(
        ((0.2 - 0.40789654) / 0.28863828, -0.44719302 / 0.27408164, (1 - 0.47026115) / 0.27809835)
    )


def test_random_windows_have_the_published_scales_and_middles() -> None:
    windows = [random_window(640, 480, 512, np.random.default_rng(i)) for i in range(2000)]
    scales = {round((w.right - w.left) / 640, 6) for w in windows}
    assert scales == set(SCALES)
    assert all(w.right - w.left == pytest.approx(w.bottom - w.top) for w in windows)
    xs, ys = ([(a + b) / 2 for a, b in pairs] for pairs in ([(w.left, w.right) for w in windows],
                                                            [(w.top, w.bottom) for w in windows]))  # fmt: skip
    assert (min(xs), max(xs)) == pytest.approx((128, 511), abs=3)
    assert (min(ys), max(ys)) == pytest.approx((128, 351), abs=3)
    assert 900 < sum(w.mirrored for w in windows) < 1100


@pytest.mark.parametrize(("length", "border"), [(640, 128), (257, 128), (256, 64), (100, 32), (3, 1)])
def test_middles_keep_half_the_border_in_smaller_photos(length, border) -> None:
    xs = [
        (w.left + w.right) / 2 for w in (random_window(length, 700, 64, np.random.default_rng(i)) for i in range(400))
    ]
    assert min(xs) >= border - 1e-6
    assert max(xs) < length - border + 1e-6


@pytest.mark.parametrize(("size", "padded"), [((640, 480), (672, 512)), ((500, 375), (512, 384)), ((31, 1), (32, 32))])
def test_whole_photos_are_padded_to_the_next_multiple_of_32(size, padded) -> None:
    window = whole_window(*size)
    assert (window.width, window.height) == padded
    assert window.scale.tolist() == [1, 1]
    photo = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    pixels = window.pixels(photo).permute(1, 2, 0).numpy()
    top, left = -int(window.top), -int(window.left)
    assert (pixels[top : top + size[1], left : left + size[0]] == photo).all()
    assert pixels.sum(dtype=np.int64) == photo.sum(dtype=np.int64), "black around it"


def test_a_fixed_window_is_filled_by_the_longer_side() -> None:
    window = fixed_window(200, 100, 64)
    corners = np.array([[0.0, 0.0, 200.0, 100.0]])
    assert window.boxes(corners).tolist() == [[0.0, 16.0, 64.0, 48.0]]
