"""Texture clusters: Gram matrices by their definition, VGG-16 cut where the page says, and textures told apart."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import adjusted_rand_score
from torchvision.models import vgg
from torchvision.transforms import v2

from optathlon.tasks.data import places
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.errors import DataError
from optathlon.tasks.images.files import open_photo
from optathlon.tasks.images.weights import FOLDER
from optathlon.tasks.rebias.imagenet9 import clusters, miniature
from optathlon.tasks.rebias.imagenet9.clusters import cluster, filters, gram, main, of_filters, vgg16
from optathlon.tasks.rebias.imagenet9.dataset import ImageNet9
from optathlon.tasks.rebias.imagenet9.layout import CLUSTERS, read
from tests.miniatures import put_miniatures

to_tensor = v2.Compose(
    [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
)


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
    put_miniatures(tmp_path, "imagenet9")
    nine = read(tmp_path / "imagenet9")
    found = of_filters(nine.val)
    labels = [photo.label for photo in nine.val]
    for one in found:
        assert adjusted_rand_score(nine.clusters[0], one) > 0.35 > 0.1 + adjusted_rand_score(labels, one)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.nn.Sequential:
    """VGG-16's layers of features with random weights, which lie where the published ones belong."""
    torch.default_generator.manual_seed(0)
    layers = vgg.make_layers(vgg.cfgs["D"])
    folder = tmp_path / FOLDER
    folder.mkdir()
    torch.save({f"features.{name}": weight for name, weight in layers.state_dict().items()}, folder / "new.pth")
    file = f"vgg16-{file_digest(folder / 'new.pth')[:8]}.pth"
    (folder / "new.pth").rename(folder / file)
    monkeypatch.setattr(clusters, "VGG16", (file,))
    return layers.eval()


def test_vgg16_ends_with_conv3_3_before_its_relu(published: torch.nn.Sequential, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    features = vgg16(tmp_path)(pixels)
    assert features.shape == (256, 8, 12)
    assert (features < 0).any()
    expected = published[:15](to_tensor(Image.fromarray(pixels))[None])[0].detach().numpy()
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def test_another_file_in_place_of_vgg16s_is_refused(
    published: torch.nn.Sequential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next((tmp_path / FOLDER).iterdir()).rename(tmp_path / FOLDER / "vgg16-397923af.pth")
    monkeypatch.setattr(clusters, "VGG16", ("vgg16-397923af.pth",))
    with pytest.raises(DataError, match=r"has SHA-256 .*, expected one that begins with 397923af"):
        vgg16(tmp_path)


def test_the_command_writes_clusters_of_what_vgg16_sees_in_the_middles_of_photos(
    published: torch.nn.Sequential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By torchvision's own transforms, of small photos for the time that VGG-16 takes."""
    monkeypatch.setattr(miniature, "TRAINING", 1)
    monkeypatch.setattr(miniature, "VALIDATION", 1)
    monkeypatch.setattr(clusters, "RESIZE", 20)
    monkeypatch.setattr(clusters, "CROP", 16)
    matrices: list[np.ndarray] = []

    def in_turn(grams: Iterable[np.ndarray]) -> np.ndarray:
        matrices.extend(grams)
        return np.arange(3 * len(matrices)).reshape(3, -1) % 9

    monkeypatch.setattr(clusters, "cluster", in_turn)
    ImageNet9().write_miniature(tmp_path / "imagenet9")
    assert main([str(tmp_path)]) == 0
    assert "42 photos in 9 clusters, 3 times" in capsys.readouterr().out
    nine = read(tmp_path / "imagenet9")
    assert nine.clusters.tolist() == (np.arange(126).reshape(3, 42) % 9).tolist()
    middle = v2.Compose([v2.Resize(20), v2.CenterCrop(16)])
    with torch.no_grad():
        for photo, found in zip(nine.val, matrices, strict=True):
            features = published[:15](to_tensor(middle(open_photo(photo.path)))[None])[0]
            np.testing.assert_allclose(found, gram(features.numpy()), rtol=1e-3, atol=1e-5)


def test_photos_prepared_through_links_get_their_clusters_where_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the cache can be written to, that is where a data folder's photos are prepared."""
    monkeypatch.setenv("OPTATHLON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(miniature, "TRAINING", 1)
    monkeypatch.setattr(miniature, "VALIDATION", 1)
    monkeypatch.setattr(clusters, "vgg16", lambda _: filters)
    prepared = places.cached(tmp_path, "imagenet9")
    ImageNet9().write_miniature(prepared)
    (prepared / places.MANIFEST).write_text("{}")
    before = (prepared / CLUSTERS).read_bytes()
    assert main([str(tmp_path)]) == 0
    assert (prepared / CLUSTERS).read_bytes() != before
    assert not (tmp_path / "imagenet9").exists()


def test_a_folder_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(miniature, "TRAINING", 1)
    monkeypatch.setattr(miniature, "VALIDATION", 1)
    monkeypatch.setattr(clusters, "vgg16", lambda _: filters)
    ImageNet9().write_miniature(tmp_path / "imagenet9")
    (tmp_path / "imagenet9" / CLUSTERS).unlink()
    (tmp_path / "imagenet9" / CLUSTERS).mkdir()
    assert main([str(tmp_path)]) == 2
    assert f"imagenet9/{CLUSTERS}" in capsys.readouterr().err


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
