"""CIFAR-10's augmentation: cut and mirrored as published, a function of seed, epoch and image."""

from __future__ import annotations

import numpy as np
import pytest

from optathlon.tasks.cifar.cifar10.layout import shrink
from optathlon.tasks.cifar.pixels import Augmented, Images


def images(count: int = 40, side: int = 32) -> Images:
    random = np.random.default_rng(0)
    return Images(random.integers(1, 256, (count, 3, side, side), np.uint8), np.arange(count) % 10)


@pytest.mark.parametrize("side", [32, 16])
def test_every_image_is_a_cut_of_itself_with_a_black_border_of_an_eighth_mirrored_or_not(side: int) -> None:
    originals = images(side=side)
    border = side // 8
    cuts = set()
    for epoch in range(10):
        pixels, labels = Augmented(originals, seed=3, epoch=epoch).take(np.arange(40))
        assert labels.tolist() == originals.labels.tolist()
        for picture, original in zip(pixels.numpy(), originals.pixels, strict=True):
            padded = np.pad(original, ((0, 0), (border, border), (border, border)))
            fits = [
                (top, left, mirrored)
                for top in range(2 * border + 1)
                for left in range(2 * border + 1)
                for mirrored in (False, True)
                if np.array_equal(
                    padded[:, top : top + side, left : left + side][:, :, :: -1 if mirrored else 1], picture
                )
            ]
            assert len(fits) == 1
            cuts.add(fits[0])
    assert {f[2] for f in cuts} == {False, True}
    for axis in (0, 1):
        assert {f[axis] for f in cuts} == set(range(2 * border + 1)), "every cut, from edge to edge"


def test_how_an_image_is_cut_does_not_depend_on_its_batch() -> None:
    originals = images()
    whole, _ = Augmented(originals, seed=3, epoch=1).take(np.arange(40))
    some, labels = Augmented(originals, seed=3, epoch=1).take(np.array([30, 2, 17]))
    assert np.array_equal(some, whole[[30, 2, 17]])
    assert labels.tolist() == [0, 2, 7]
    for other in (Augmented(originals, seed=4, epoch=1), Augmented(originals, seed=3, epoch=2)):
        assert not np.array_equal(other.take(np.arange(40))[0], whole)


def test_blocks_of_pixels_become_their_rounded_mean() -> None:
    pixels = images(2).pixels
    small = shrink(pixels, 4)
    assert small.shape == (2, 3, 8, 8)
    assert small.dtype == np.uint8
    assert small[1, 2, 5, 3] == round(pixels[1, 2, 20:24, 12:16].mean())
    assert shrink(pixels, 1) is pixels
