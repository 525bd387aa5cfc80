"""Windows of photos: pixels as OpenCV's affine warp and torchvision's resizing have them, boxes along with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from optathlon.tasks.coco.photos import Window


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def literal(window: Window, image: np.ndarray, fill: tuple[int, int, int]) -> np.ndarray:
    """Pixel by pixel: the mean of the four around, weighted by nearness; the outermost pixels reach to the border."""
    height, width, _ = image.shape
    out = np.zeros((window.height, window.width, 3))
    for y, x in np.ndindex(window.height, window.width):
        column = window.width - 1 - x if window.mirrored else x
        sx = window.left + (column + 0.5) / window.scale[0]
        sy = window.top + (y + 0.5) / window.scale[1]
        if not (0 <= sx <= width and 0 <= sy <= height):
            out[y, x] = fill
            continue
        for iy in (int(np.floor(sy - 0.5)), int(np.floor(sy - 0.5)) + 1):
            for ix in (int(np.floor(sx - 0.5)), int(np.floor(sx - 0.5)) + 1):
                color = image[min(max(iy, 0), height - 1), min(max(ix, 0), width - 1)]
                out[y, x] += (1 - abs(sy - 0.5 - iy)) * (1 - abs(sx - 0.5 - ix)) * color
    return out


@pytest.mark.parametrize(
    "window",
    [Window(2, 3, 11, 8, 12, 9), Window(-6.5, -3.2, 20.1, 17.7, 9, 11, mirrored=True), Window(0, 0, 13, 10, 13, 10)],
)
def test_pixels_are_bilinear_with_the_fill_beyond_the_border(window) -> None:
    image = photo(10, 13)
    ours = window.pixels(image, (10, 120, 240)).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours, literal(window, image, (10, 120, 240)), atol=0.51)


def test_a_whole_photo_is_resized_as_torchvisions_detectors_do() -> None:
    image = photo(48, 64)
    theirs = interpolate(torch.from_numpy(image).permute(2, 0, 1)[None].float(), (30, 30), mode="bilinear")[0]
    ours = Window(0, 0, 64, 48, 30, 30).pixels(image).float()
    assert (ours - theirs).abs().max() <= 0.51


def test_boxes_move_with_the_pixels() -> None:
    """A white rectangle is found where its box has moved to."""
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    image[10:20, 30:50] = 255
    for mirrored in (False, True):
        window = Window(20, -10, 60, 30, 80, 120, mirrored)
        left, top, right, bottom = window.boxes(np.array([[30.0, 10.0, 50.0, 20.0]]))[0]
        ys, xs = np.nonzero(window.pixels(image)[0].numpy() > 127)
        assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (left, top, right, bottom)
    assert (left, right) == (20, 60), "mirrored from 20 to 60 of 80"
