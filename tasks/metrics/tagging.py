"""How well scores of several tags per clip fit: areas under the ROC and precision-recall curves, and three F1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def roc_auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """The mean over tags of the area under each tag's ROC curve, in [0, 1], as scikit-learn's macro `roc_auc_score`.

    truth: bool (clips, tags). scores: (clips, tags), higher where a tag is likelier. A tie counts half. NaN if a score
    is not finite. ValueError if a tag has no clip with it, or none without it.
    """
    return _macro(_tag_roc_auc, truth, scores)


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """The mean over tags of the average precision, in [0, 1], as scikit-learn's macro `average_precision_score`, which
    taggers call PR-AUC. Clips with one score are taken together. Otherwise as `roc_auc`."""
    return _macro(_tag_average_precision, truth, scores)


def f1_scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """The F1 of `predicted` tags, in [0, 1], as scikit-learn's `f1_score` with zero_division=0.

    truth, predicted: bool (clips, tags). "samples" is the mean over clips, "macro" over tags, "micro" that of all
    decisions together. An F1 of nothing true and nothing predicted is 0.
    """
    return {
        "samples": float(_f1(truth, predicted, axis=1).mean()),
        "micro": float(_f1(truth, predicted, axis=None)),
        "macro": float(_f1(truth, predicted, axis=0).mean()),
    }


def _macro(of_tag: Callable[[np.ndarray, np.ndarray], float], truth: np.ndarray, scores: np.ndarray) -> float:
    positives = truth.sum(axis=0)
    for tag in np.flatnonzero((positives == 0) | (positives == len(truth))):
        kind = "without" if positives[tag] else "with"
        raise ValueError(f"tag {tag}: none of the {len(truth)} clips is {kind} it, so it has no curve")
    if not np.isfinite(scores).all():
        return float("nan")
    return float(np.mean([of_tag(truth[:, tag], scores[:, tag]) for tag in range(truth.shape[1])]))


def _tag_roc_auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """The share of pairs of a positive and a negative that are in the right order (Mann-Whitney's U)."""
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    below = np.cumsum(sizes) - sizes
    mean_rank = below + (sizes + 1) / 2  # of each group of equal scores, counted from 1
    positives = int(truth.sum())
    rank_sum = mean_rank[group[truth]].sum()
    return (rank_sum - positives * (positives + 1) / 2) / (positives * (len(truth) - positives))


def _tag_average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """The precision at each threshold, weighted by the recall that it adds."""
    thresholds, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    hits = np.bincount(group, weights=truth, minlength=len(thresholds))
    precision = np.cumsum(hits[::-1]) / np.cumsum(sizes[::-1])
    return float(precision @ hits[::-1]) / int(truth.sum())


def _f1(truth: np.ndarray, predicted: np.ndarray, axis: int | None) -> np.ndarray:
    both = (truth & predicted).sum(axis=axis)
    claimed = truth.sum(axis=axis) + predicted.sum(axis=axis)
    return 2 * both / np.maximum(claimed, 1)
