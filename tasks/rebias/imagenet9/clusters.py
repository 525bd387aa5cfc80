"""Texture clusters of the photos for validation: k-means of Gram matrices, three times (ReBias, make_clusters.py).

`python -m optathlon.tasks.rebias.imagenet9.clusters DATA` writes 9class_imagenet_val.csv beside train/ and val/, from
VGG-16's features. k-means begins at random and its seeds are not published, so these are other clusters than the
published ones, made the same way.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from optathlon.tasks.data.places import folder_of
from optathlon.tasks.errors import DataError
from optathlon.tasks.images.crops import center_crop
from optathlon.tasks.images.files import open_photo
from optathlon.tasks.images.photos import Photo
from optathlon.tasks.images.transforms import normalize
from optathlon.tasks.images.weights import find_named
from optathlon.tasks.rebias.imagenet9.classes import LABELS
from optathlon.tasks.rebias.imagenet9.layout import CLUSTERINGS, CLUSTERS, NAME, TEXTURES, VAL, photos, write_clusters

RESIZE, CROP = 256, 224
LEFT_OUT = 16
"""The last modules of VGG-16's features: what remains ends with the convolution conv3_3, before its ReLU."""
VGG16 = ("vgg16-397923af.pth",)
AT_ONCE = 1024  # photos in one step of k-means


def gram(features: np.ndarray) -> np.ndarray:
    """Products (channels * channels,) of all pairs of channels of `features` (channels, h, w), of length 1."""
    flat = features.reshape(len(features), -1).astype(np.float64)
    products = (flat @ flat.T).ravel() / flat.size
    return products / np.linalg.norm(products)


def cluster(grams: Iterable[np.ndarray]) -> np.ndarray:
    """Clusters (3, n) from 0 to 8 of photos with the Gram matrices `grams`: k-means from three seeds."""
    from sklearn.cluster import MiniBatchKMeans

    rows = np.stack([*grams]).astype(np.float32)
    how: dict[str, Any] = {"n_clusters": TEXTURES, "batch_size": AT_ONCE, "n_init": 3}
    seeds = range(1, CLUSTERINGS + 1)
    return np.stack([MiniBatchKMeans(**how, random_state=seed).fit(rows).labels_ for seed in seeds])


def filters(pixels: np.ndarray) -> np.ndarray:
    """Nine channels (9, h - 1, w - 1) of bytes (h, w, 3): the colors, and their differences to the right and down.

    What stands in for VGG-16's features in miniatures and stand-ins.
    """
    colors = pixels.astype(np.float64).transpose(2, 0, 1) / 255
    right, down = np.diff(colors, axis=2)[:, :-1], np.diff(colors, axis=1)[:, :, :-1]
    return np.concatenate([colors[:, :-1, :-1], 4 * right, 4 * down])


def of_filters(photos: Iterable[Photo]) -> np.ndarray:
    """Clusters (3, n) of photos by `filters`."""
    return cluster(gram(filters(np.asarray(open_photo(photo.path)))) for photo in photos)


def vgg16(root: Path) -> Callable[[np.ndarray], np.ndarray]:
    """VGG-16 up to conv3_3 with torchvision's weights below the data folder: bytes (h, w, 3) to (256, h / 4, w / 4)."""
    import torch
    from torchvision.models.vgg import vgg16 as build

    path = find_named(Path(root), VGG16, "VGG-16", "the published clusters need none")
    with torch.device("meta"):  # the classifier, nine tenths of the parameters, is never made
        net: Any = build()
    extractor = net.features[:-LEFT_OUT].eval()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    extractor.load_state_dict({name: weights[f"features.{name}"] for name in extractor.state_dict()}, assign=True)

    @torch.no_grad()
    def features(pixels: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
        return extractor(normalize(images))[0].numpy()

    return features


def main(arguments: list[str] | None = None) -> int:
    """Write the clusters of the photos below a data folder; 2 if they, or VGG-16's weights, are not there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="the data folder, which has imagenet9/val/ and imagenet-weights/")
    parsed = parser.parse_args(arguments)
    folder = folder_of(parsed.data, NAME)
    try:
        val, features = photos(folder / VAL, LABELS), vgg16(parsed.data)
        crops = (np.asarray(center_crop(open_photo(photo.path), RESIZE, CROP)) for photo in val)
        write_clusters(folder / CLUSTERS, val, cluster(gram(features(crop)) for crop in crops))
    except (DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{folder / CLUSTERS}: {len(val)} photos in {TEXTURES} clusters, {CLUSTERINGS} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
