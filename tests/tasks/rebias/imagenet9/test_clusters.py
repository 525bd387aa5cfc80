"""Texture clusters: Gram matrices by their definition, VGG-16 cut where the page says, and textures told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torchvision.models import vgg16 as torchvision_vgg16

from optathlon.tasks.data.dataset import build
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.errors import DataError
from optathlon.tasks.images.weights import FOLDER
from optathlon.tasks.rebias.imagenet9.clusters import cluster, filters, gram, main, of_filters, vgg16
from optathlon.tasks.rebias.imagenet9.dataset import ImageNet9
from optathlon.tasks.rebias.imagenet9.layout import CLUSTERS, read


def test_a_gram_matrix_is_the_products_of_all_pairs_of_channels() -> None:
    features = np.random.default_rng(0).normal(size=(3, 4, 5))
    products = np.array([[(a * b).sum() / 60 for b in features] for a in features]).ravel()
    np.testing.assert_allclose(gram(features), products / np.sqrt((products**2).sum()))


def test_textures_that_differ_fall_into_different_clusters() -> None:
    random = np.random.default_rng(0)
    y, x = np.indices((24, 24))
    grounds = [(y, x, x + y)[kind % 3] % (2, 4, 8)[kind // 3] < (1, 2, 4)[kind // 3] for kind in range(9)]
    textures = np.arange(180) % 9
    shown = [
        (
            200 * np.roll(grounds[kind], random.integers(8, size=2), (0, 1))[..., None]
            + random.uniform(0, 20, (24, 24, 3))
        )
        for kind in textures
    ]
    found = cluster(gram(filters(picture.astype(np.uint8))) for picture in shown)
    assert found.shape == (3, 180)
    assert {*np.unique(found)} <= set(range(9))
    assert min(adjusted_rand_score(textures, one) for one in found) > 0.6


def test_the_miniatures_clusters_found_again_are_its_textures_more_than_its_classes(tmp_path: Path) -> None:
    build(ImageNet9(), tmp_path, "miniature")
    nine = read(tmp_path / "imagenet9")
    found = of_filters(nine.val)
    labels = [photo.label for photo in nine.val]
    for one in found:
        assert adjusted_rand_score(nine.clusters[0], one) > 0.35 > 0.1 + adjusted_rand_score(labels, one)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with random weights of VGG-16 in place of torchvision's."""
    torch.default_generator.manual_seed(0)
    path = tmp_path_factory.mktemp("data") / FOLDER / "vgg16-397923af.pth"
    path.parent.mkdir()
    torch.save(torchvision_vgg16(init_weights=False).state_dict(), path)
    return path


@pytest.mark.slow
def test_vgg16_ends_with_conv3_3_before_its_relu(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"has SHA-256 .*, expected one that begins with 397923af"):
        vgg16(weights.parent.parent)
    renamed = weights.rename(weights.with_name(f"vgg16-{file_digest(weights)[:8]}.pth"))
    from torchvision.models import VGG16_Weights

    monkeypatch.setattr(VGG16_Weights.IMAGENET1K_V1.value, "url", f"https://download/{renamed.name}", raising=False)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    features = vgg16(weights.parent.parent)(pixels)
    assert features.shape == (256, 8, 12)
    assert (features < 0).any()


def test_without_weights_or_photos_the_command_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no folder n01641577" in capsys.readouterr().err
    ImageNet9().write_miniature(tmp_path / "imagenet9")
    before = (tmp_path / "imagenet9" / CLUSTERS).read_bytes()
    assert main([str(tmp_path)]) == 2
    assert "put https://download.pytorch.org/models/vgg16-397923af.pth there" in capsys.readouterr().err
    assert (tmp_path / "imagenet9" / CLUSTERS).read_bytes() == before
