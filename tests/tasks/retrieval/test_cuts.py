"""Cuts of photos are torchvision's, and pixels normalized as ImageNet's."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from optathlon.tasks.images.crops import center_crop, random_crop
from optathlon.tasks.images.transforms import normalize


def test_training_cuts_are_those_of_torchvision_in_distribution() -> None:
    """Means and deviations of the corner and size of 3,000 cuts, read off a photo whose colors are its coordinates."""
    width, height = 100, 60
    ramp = torch.stack(
        [
            torch.linspace(0, 250, width).expand(height, width),
            torch.linspace(0, 250, height)[:, None].expand(height, width),
            torch.zeros(height, width),
        ]
    )
    image = v2.functional.to_pil_image(ramp.to(torch.uint8))

    def described(cuts: list[Image.Image]) -> torch.Tensor:
        pixels = torch.stack([v2.functional.pil_to_tensor(c).float() for c in cuts])
        left, right = pixels[:, 0, :, 0].mean(1), pixels[:, 0, :, -1].mean(1)
        top, bottom = pixels[:, 1, 0].mean(1), pixels[:, 1, -1].mean(1)
        rows = torch.stack([left, right, top, bottom, (left - right).abs(), bottom - top])
        return torch.cat([rows.mean(1), rows.std(1)])

    from optathlon.tasks.randomness import generator

    torch.default_generator.manual_seed(0)
    theirs = v2.Compose([v2.RandomResizedCrop(8), v2.RandomHorizontalFlip()])
    expected = described([theirs(image) for _ in range(3000)])
    ours = described([random_crop(image, 8, 0.08, generator("cut", i)) for i in range(3000)])
    torch.testing.assert_close(ours, expected, rtol=0, atol=6.0)  # of 250; a mean's own deviation is about 1.3


@pytest.mark.parametrize("size", [(500, 333), (61, 300), (64, 64), (40, 57)])
def test_evaluation_cuts_are_torchvisions(size) -> None:
    random = torch.Generator().manual_seed(0)
    image = v2.functional.to_pil_image(
        torch.randint(0, 256, (3, size[1], size[0]), generator=random, dtype=torch.uint8)
    )
    theirs = v2.Compose([v2.Resize(72), v2.CenterCrop(64)])(image)
    assert center_crop(image, 72, 64).tobytes() == theirs.tobytes()


def test_photos_are_normalized_as_imagenets() -> None:
    pixels = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    theirs = v2.functional.normalize(pixels.float() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(normalize(pixels), theirs)
