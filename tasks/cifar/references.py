"""What models without training score on CIFAR-10, clean and under the worst attack there is: the boards' references.
Needs no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from optathlon.tasks.cifar.cifar10 import layout
from optathlon.tasks.cifar.cifar10.dataset import Cifar10, find
from optathlon.tasks.cifar.settings import SHADES, THREATS, AdversarialSettings, Norm, Threat
from optathlon.tasks.data.places import folder_of
from optathlon.tasks.settings import carved
from optathlon.tasks.task import Protocol

Scores = dict[str, dict[str, float]]
AT_ONCE = 500


def linf4(protocol: Protocol, data: Path) -> Scores:
    """Of cifar10-linf4: majority, the commonest class for every image, and pixels, the class of the nearest mean."""
    return _scores(protocol, data, THREATS["linf4"])


def l2(protocol: Protocol, data: Path) -> Scores:
    """As `linf4`, of cifar10-l2."""
    return _scores(protocol, data, THREATS["l2"])


def linf8(protocol: Protocol, data: Path) -> Scores:
    """As `linf4`, of cifar10-linf8."""
    return _scores(protocol, data, THREATS["linf8"])


def _scores(protocol: Protocol, data: Path, threat: Threat) -> Scores:
    s = AdversarialSettings.read(protocol)
    tree = find(folder_of(data, Cifar10.name))

    def images(name: str, most: int) -> tuple[np.ndarray, np.ndarray]:
        pixels, labels = layout.read(tree, name)
        flat = layout.shrink(pixels[:most], s.block).reshape(len(labels[:most]), -1)
        return flat.astype(np.float32) / np.float32(SHADES), labels[:most]

    train, labels = images("train", s.train_images)
    held = carved(len(labels), protocol)
    splits = {"test": images("test", s.test_images)}
    if held:
        splits["validation"] = train[:held], labels[:held]
    train, labels = train[held:], labels[held:]
    classes = np.unique(labels)
    means = np.stack([train[labels == label].mean(0) for label in classes])
    commonest = np.bincount(labels).argmax()
    attacks = {"standard": 0.0, **{name: reach.epsilon / SHADES for name, reach in threat.evaluated.items()}}
    scores: Scores = {"majority": {}, "nearest mean": {}}
    for split, (pixels, truth) in splits.items():
        for name, epsilon in attacks.items():
            hits = robust(pixels, truth, means, classes, threat.norm, epsilon)
            scores["majority"][f"{split}/{name}"] = 100.0 * int((truth == commonest).sum()) / len(truth)
            scores["nearest mean"][f"{split}/{name}"] = 100.0 * hits / len(truth)
    return scores


def robust(
    images: np.ndarray, labels: np.ndarray, means: np.ndarray, classes: np.ndarray, norm: Norm, epsilon: float
) -> int:
    """How many `images` (n, d) in [0, 1] have their class's as the nearest of `means` wherever they are moved to.

    Exact: of two means the nearer is told by a linear function, whose least value over the ball (and for "linf" the
    range of pixels as well, for "l2" without it) is known.
    """
    rows = [slice(begin, begin + AT_ONCE) for begin in range(0, len(labels), AT_ONCE)]
    return sum(_robust(images[r], labels[r], means, classes, norm, epsilon) for r in rows)


def _robust(
    images: np.ndarray, labels: np.ndarray, means: np.ndarray, classes: np.ndarray, norm: Norm, epsilon: float
) -> int:
    low, high = np.maximum(images - epsilon, 0.0), np.minimum(images + epsilon, 1.0)
    safe = np.isin(labels, classes)
    for true, label in enumerate(classes):
        mine = labels == label
        for other in range(len(classes)):
            if other != true:
                weight = means[true] - means[other]
                bias = (np.square(means[other]).sum() - np.square(means[true]).sum()) / 2
                if norm == "linf":
                    least = low[mine] @ np.maximum(weight, 0.0) + high[mine] @ np.minimum(weight, 0.0)
                else:
                    least = images[mine] @ weight - epsilon * np.linalg.norm(weight)
                safe[mine] &= least + bias > 0
    return int(safe.sum())
