"""The median rule: RBF kernels as wide as features are apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from optathlon.tasks.rebias.hsic import squared_distances

NARROWEST = 1e-6
"""For networks that map all images to one point, whose median distance is no width."""


class Bandwidths:
    """Collects distances between features, batch by batch and network by network.

    Source: ReBias, criterions/sigma_utils.py.
    """

    def __init__(self) -> None:
        self._distances: dict[str, list[np.ndarray]] = {}

    def add(self, features: Mapping[str, Tensor]) -> None:
        """A batch's features (n, d) by network: all n * n squared distances count, so the zeros to itself as well."""
        for name, batch in features.items():
            distances = squared_distances(batch.detach().float()).flatten().cpu().numpy()
            self._distances.setdefault(name, []).append(distances)

    def medians(self) -> dict[str, float]:
        """The square root of the median squared distance over all batches, by network."""
        medians = {name: float(np.median(np.concatenate(distances))) for name, distances in self._distances.items()}
        return {name: max(NARROWEST, max(0.0, median) ** 0.5) for name, median in medians.items()}
