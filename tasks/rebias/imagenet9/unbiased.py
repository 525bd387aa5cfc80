"""Accuracy where textures say nothing of the class: the mean over what a class looks like in each texture."""

from __future__ import annotations

import numpy as np

from optathlon.tasks.rebias.imagenet9.classes import CLASSES
from optathlon.tasks.rebias.imagenet9.layout import TEXTURES


def cells(labels: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """How many photos (9, 9) each class has in each cluster, of labels (n,) and one clustering (n,)."""
    return np.bincount(labels * TEXTURES + clusters, minlength=CLASSES * TEXTURES).reshape(CLASSES, TEXTURES)


def unbiased_accuracy(right: np.ndarray, labels: np.ndarray, clusters: np.ndarray, least: int) -> float:
    """The accuracy in % of `right` (n,) over clusterings (c, n): of each the unweighted mean over the accuracies of
    those cells of class and cluster that have `least` photos or more, and of these the mean.

    Source: Bahng et al. 2020, section 4.3; ReBias, evaluator.py. ValueError if a clustering has no such cell.
    """
    return float(np.mean([_of_one(right, labels, one, least) for one in clusters]))


def _of_one(right: np.ndarray, labels: np.ndarray, clusters: np.ndarray, least: int) -> float:
    counts = cells(labels, clusters)
    hits = cells(labels[right], clusters[right])
    counted = counts >= max(1, least)
    if not counted.any():
        raise ValueError(f"no cell of class and cluster has {least} photos")
    return 100.0 * float(np.mean(hits[counted] / counts[counted]))
