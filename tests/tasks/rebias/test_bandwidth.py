"""The median rule, against the published loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from optathlon.tasks.rebias.bandwidth import NARROWEST, Bandwidths


def test_it_is_the_root_of_the_median_of_all_squared_distances_zeros_included() -> None:
    torch.default_generator.manual_seed(0)
    batches = [torch.randn(n, 5).double() for n in (7, 7, 4)]
    distances = [float((a - b).square().sum()) for batch in batches for a in batch for b in batch]
    collected = Bandwidths()
    for batch in batches:
        collected.add({"model": batch, "biased": 2 * batch})
    found = collected.medians()
    assert found["model"] == pytest.approx(np.sqrt(np.median(distances)), rel=1e-5)
    assert found["biased"] == pytest.approx(2 * np.sqrt(np.median(distances)), rel=1e-5)


def test_a_collapsed_network_has_the_narrowest_kernel_and_not_none() -> None:
    collected = Bandwidths()
    collected.add({"model": torch.ones(6, 3)})
    assert collected.medians() == {"model": NARROWEST}
