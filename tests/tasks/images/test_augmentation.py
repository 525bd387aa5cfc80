"""Augmentation is that of torchvision, timm and CutMix, and a function of the picture and its own random generator."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from optathlon.tasks.images import color, crops, rand_augment
from optathlon.tasks.images.color import Colors, draw_colors, recolor
from optathlon.tasks.images.erasing import draw_rectangle, erase
from optathlon.tasks.images.mixing import Mix, draw_cutmix, draw_mixup, mix
from optathlon.tasks.images.rand_augment import RandAugment
from optathlon.tasks.randomness import generator


def picture(width: int = 60, height: int = 40) -> Image.Image:
    """Soft blobs: noise that was enlarged."""
    small = generator("picture").integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_evaluation_cuts_are_torchvisions(interpolation) -> None:
    method = {"bilinear": v2.InterpolationMode.BILINEAR, "bicubic": v2.InterpolationMode.BICUBIC}[interpolation]
    for size in ((500, 333), (61, 300), (331, 331)):
        theirs = v2.Compose([v2.Resize(274, method), v2.CenterCrop(240)])(picture(*size))
        assert crops.center_crop(picture(*size), 274, 240, interpolation).tobytes() == theirs.tobytes()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_training_cut_is_torchvisions_of_the_same_box(interpolation) -> None:
    method = {"bilinear": v2.InterpolationMode.BILINEAR, "bicubic": v2.InterpolationMode.BICUBIC}[interpolation]
    image = picture(200, 150)
    for number in range(20):
        box = crops.random_box(image.size, 0.08, generator("cut", number))
        theirs = v2.functional.resized_crop(image, box.top, box.left, box.height, box.width, [64, 64], method)
        ours = crops.random_crop(image, 64, 0.08, generator("cut", number), interpolation)
        mirrored = theirs.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        assert ours.tobytes() in (theirs.tobytes(), mirrored.tobytes())


def test_random_interpolation_takes_both_methods() -> None:
    image = picture(200, 150)
    by_method = {m: [crops.random_crop(image, 32, 0.5, generator("i", n), m).tobytes() for n in range(20)]
                 for m in crops.INTERPOLATIONS}  # fmt: skip
    same = [by_method["random"][n] in (by_method["bilinear"][n], by_method["bicubic"][n]) for n in range(20)]
    assert sum(same) >= 5  # the flip comes after one more draw, so that about half are mirrored differently
    assert set(by_method["random"]) - set(by_method["bilinear"])


def test_a_small_cut_of_a_photo_decoded_small_looks_the_same(tmp_path) -> None:
    """And an eighth of the pixels need be decoded only where the cut is eight times as large."""
    picture(800, 600).save(tmp_path / "photo.jpg", quality=95)
    whole = Image.open(tmp_path / "photo.jpg").convert("RGB")
    for number in range(20):
        fast = crops.open_random_crop(tmp_path / "photo.jpg", 48, 0.25, generator("cut", number))
        plain = crops.random_crop(whole, 48, 0.25, generator("cut", number))
        difference = np.abs(np.asarray(fast, dtype=int) - np.asarray(plain, dtype=int))
        assert difference.mean() < 2.5


with pytest.MonkeyPatch.context() as patch:
    # timm asks for wandb, and to import that after torch takes longer than all the rest.
    patch.setitem(sys.modules, "wandb", None)
    timm_augment = pytest.importorskip("timm.data.auto_augment")


@pytest.mark.parametrize("name", rand_augment.NAMES)
@pytest.mark.parametrize("level", [2.5, 4.5, 9.0, 10.0])
def test_each_operation_is_timms(name, level) -> None:
    """Moves may go either way and be interpolated in two ways: ours is one of timm's four."""
    hyper = {"translate_pct": 0.45, "img_mean": rand_augment.FILL}
    argument = timm_augment.LEVEL_TO_ARG[name]
    arguments = argument(level, hyper) if argument else ()
    signs = (1, -1) if name in rand_augment.MOVES else (1,)
    theirs = {
        timm_augment.NAME_TO_OP[name](
            picture(), *(sign * a for a in arguments), resample=method, fillcolor=rand_augment.FILL
        ).tobytes()
        for sign in signs
        for method in (crops.BILINEAR, crops.BICUBIC)
    }
    for number in range(8):
        assert rand_augment.apply(name, picture(), level / 10, generator(name, number)).tobytes() in theirs


def test_every_operation_has_a_weakest_form() -> None:
    for name in rand_augment.NAMES:
        assert rand_augment.apply(name, picture(), 0.0, generator(name)).size == picture().size


def test_randaugment_applies_two_operations_half_the_time_each() -> None:
    assert set(rand_augment.NAMES) == set(timm_augment._RAND_TRANSFORMS)
    policy, whole = RandAugment(9.0, 0.5), picture().tobytes()
    unchanged = [policy(picture(), generator("policy", n)).tobytes() == whole for n in range(400)]
    assert 0.20 < np.mean(unchanged) < 0.35  # a quarter has neither; a solarized picture may be as before
    assert policy(picture(), generator("policy", 7)).tobytes() == policy(picture(), generator("policy", 7)).tobytes()


def test_colors_change_as_in_the_cutmix_repository() -> None:
    """Literally: one picture, one step after another."""
    pixels = torch.rand(4, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    colors = draw_colors(0.4, 0.1, [generator("color", n) for n in range(4)])
    expected = []
    for image, shares, order, light in zip(pixels, *colors, strict=True):
        for kind in order.tolist():
            grays = (0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]).expand(3, -1, -1)
            target = (torch.zeros_like(image), torch.full_like(image, float(grays.mean())), grays)[kind]
            image = image.lerp(target, float(shares[kind]))
        expected.append(image + light[:, None, None])
    torch.testing.assert_close(recolor(pixels, colors), torch.stack(expected))
    assert (colors.shares.abs() <= 0.4).all()


def test_lighting_is_a_mixture_of_the_eigenvectors() -> None:
    many = draw_colors(0.0, 0.1, [generator("light", n) for n in range(4000)])
    vectors, values = np.array(color.EIGENVECTORS), np.array(color.EIGENVALUES)
    expected = vectors @ np.diag((0.1 * values) ** 2) @ vectors.T
    np.testing.assert_allclose(np.cov(many.light.numpy().T), expected, rtol=0.1, atol=1e-6)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=2e-3)
    assert isinstance(many, Colors)
    assert not many.shares.any()


def test_erasing_covers_a_fiftieth_to_a_third_with_noise() -> None:
    rectangles = torch.tensor([draw_rectangle(100, 0.2, generator("erase", n)) for n in range(2000)])
    drawn = rectangles[rectangles[:, 2] > 0]
    assert 0.17 < len(drawn) / len(rectangles) < 0.23
    areas = (drawn[:, 2] * drawn[:, 3]).double() / 100**2
    assert 0.019 < areas.min() < 0.03
    assert 0.29 < areas.max() < 0.34
    assert 0.28 < (drawn[:, 2] / drawn[:, 3]).min() < 0.4
    assert (drawn[:, :2] + drawn[:, 2:] <= 100).all()
    torch.default_generator.manual_seed(0)
    images = torch.full((2, 3, 100, 100), 9.0)
    erased = erase(images, torch.tensor([[10, 20, 30, 40], [0, 0, 0, 0]]))
    assert torch.equal(erased[1], images[1])
    inside = erased[0, :, 10:40, 20:60]
    assert abs(float(inside.mean())) < 0.05
    assert abs(float(inside.std()) - 1.0) < 0.05
    assert int((erased[0] == 9.0).sum()) == 3 * (100 * 100 - 30 * 40)


def test_the_share_of_cutmix_is_exactly_that_of_the_pixels_which_stay() -> None:
    images = torch.arange(8.0)[:, None, None, None].expand(8, 1, 32, 32)
    for number in range(200):
        mixed = draw_cutmix(8, 32, 1.0, generator("cutmix", number), generator("partners", number))
        stays = mix(images, mixed) == images
        moved = mixed.partner != torch.arange(8)
        assert stays[moved].float().mean((1, 2, 3)).tolist() == pytest.approx(
            [mixed.share] * int(moved.sum()), abs=1e-6
        )


def test_cutmix_draws_boxes_as_its_repository() -> None:
    """A literal count: side sqrt(1 - Beta(1, 1)) around a uniform center, cut off at the borders."""
    random = np.random.default_rng(0)
    expected = []
    for _ in range(4000):
        cut = int(64 * np.sqrt(1 - random.beta(1, 1)))
        x, y = random.integers(64), random.integers(64)
        sides = [np.clip(c + cut // 2, 0, 64) - np.clip(c - cut // 2, 0, 64) for c in (x, y)]
        expected.append(1 - sides[0] * sides[1] / 64**2)
    ours = [draw_cutmix(4, 64, 1.0, generator("boxes", n), generator(n)).share for n in range(4000)]
    assert np.mean(ours) == pytest.approx(np.mean(expected), abs=0.02)
    assert np.std(ours) == pytest.approx(np.std(expected), abs=0.02)


def test_mixup_blends_with_the_batch_in_reverse_as_timm_does() -> None:
    images = torch.rand(6, 3, 4, 4)
    mixed = draw_mixup(6, 0.2, generator("mixup"))
    assert 0.0 <= mixed.share <= 1.0
    torch.testing.assert_close(mix(images, mixed), mixed.share * images + (1 - mixed.share) * images.flip(0))
    shares = [draw_mixup(2, 0.2, generator("mixup", n)).share for n in range(4000)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert np.std(shares) == pytest.approx(np.sqrt(0.25 / 1.4), abs=0.02)  # of Beta(0.2, 0.2)
    assert isinstance(mixed, Mix)
