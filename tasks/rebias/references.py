"""What models without training score on Biased-MNIST: the references of its boards. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from optathlon.tasks.rebias.coloring import CLASSES, COLORINGS, COLORS, assign_colors, digits, paint
from optathlon.tasks.rebias.settings import BiasedMnistSettings
from optathlon.tasks.settings import carved
from optathlon.tasks.task import Protocol

AT_ONCE = 1000
Classify = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Gray images (n, side, side) and their colors (n,) to the classes (n,) that a model takes them for."""


def biased_mnist(protocol: Protocol, data: Path) -> dict[str, dict[str, float]]:
    """majority: the commonest class. color: the class whose color the image has. nearest mean: the class whose mean
    training image, colors and all, is the nearest."""
    s = BiasedMnistSettings.read(protocol)
    images, labels = digits(data, "train", s.train_images, s.block)
    held = carved(len(labels), protocol)
    splits = {"test": digits(data, "test", s.test_images, s.block)}
    if held:
        splits["validation"] = images[:held], labels[:held]
    images, labels = images[held:], labels[held:]
    commonest = np.bincount(labels).argmax()
    models: dict[str, Classify] = {
        "majority": lambda _, colors: np.full(len(colors), commonest),
        "color": lambda _, colors: colors,
        "nearest mean": _nearest(_means(images, labels, assign_colors(labels, s.rho, "train"))),
    }
    return {
        model: {
            f"{split}/{name}": _accuracy(classify, *images_labels, assign_colors(images_labels[1], rho, split))
            for split, images_labels in splits.items()
            for name, rho in COLORINGS.items()
        }
        for model, classify in models.items()
    }


def _accuracy(classify: Classify, images: np.ndarray, labels: np.ndarray, colors: np.ndarray) -> float:
    parts = [slice(begin, begin + AT_ONCE) for begin in range(0, len(labels), AT_ONCE)]
    hits = sum(int((classify(images[part], colors[part]) == labels[part]).sum()) for part in parts)
    return 100.0 * hits / len(labels)


def _means(images: np.ndarray, labels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """The mean painted image (10, pixels) of each class, exactly: of each color the share of images in which a pixel
    is ground, and what is not is white. A class without images is far from everything."""
    means = np.full((CLASSES, 3 * images[0].size), np.inf)
    for label in np.unique(labels):
        mine = labels == label
        total = np.full((3, *images.shape[1:]), 255.0 * mine.sum())
        for color in np.unique(colors[mine]):
            ground = (images[mine & (colors == color)] == 0).sum(0)
            total -= ground * (255.0 - COLORS[color].astype(np.float64))[:, None, None]
        means[label] = total.ravel() / mine.sum()
    return means


def _nearest(means: np.ndarray) -> Classify:
    known = np.flatnonzero(np.isfinite(means).all(1))
    centers = means[known]
    lengths = np.square(centers).sum(1)

    def classify(images: np.ndarray, colors: np.ndarray) -> np.ndarray:
        painted = paint(images, colors).reshape(len(images), -1).astype(np.float64)
        return known[(lengths - 2 * painted @ centers.T).argmin(1)]

    return classify
