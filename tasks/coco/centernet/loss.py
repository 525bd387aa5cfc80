"""CenterNet's loss: a focal loss of the heatmap, absolute errors of sizes and offsets."""

from __future__ import annotations

from torch import Tensor

from optathlon.tasks.coco.centernet.network import Outputs
from optathlon.tasks.coco.centernet.targets import Targets

SURE = 1e-4  # no probability is nearer to 0 or 1
TINY = 1e-4  # in the denominator of a mean over objects, of which there may be none


def centernet_loss(outputs: Outputs, targets: Targets, wh_weight: float) -> Tensor:
    """The loss of a batch. Source: Zhou et al. 2019, equation 4, with the reference code's weights 1, 0.1 and 1."""
    sizes = mean_error(outputs.sizes, targets, targets.sizes)
    offsets = mean_error(outputs.offsets, targets, targets.offsets)
    return focal_loss(outputs.heatmap, targets.heatmap, targets.peaks) + wh_weight * sizes + offsets


def focal_loss(logits: Tensor, heatmap: Tensor, peaks: Tensor) -> Tensor:
    """Penalty-reduced focal loss of logits against a heatmap (both n, classes, height, width), over centers.

    peaks: int64 (m,), in order, where the flattened heatmap is 1: a GPU would have to be asked for their number. Where
    the heatmap is 1, log(p) counts by (1 - p)^2, elsewhere log(1 - p) by p^2 (1 - heatmap)^4; without a center
    the sum is not divided. Source: Zhou et al. 2019, equation 1, alpha 2 and beta 4.
    """
    p = logits.sigmoid().clamp(SURE, 1 - SURE)
    # No mask for the second sum: its factor (1 - heatmap)^4 is 0 at centers.
    elsewhere = ((-p).log1p() * p.square() * (1 - heatmap).square().square()).sum()
    at = p.flatten()[peaks]
    centers = (at.log() * (1 - at).square()).sum()
    return -(centers + elsewhere) / max(1, len(peaks))


def mean_error(maps: Tensor, targets: Targets, values: Tensor) -> Tensor:
    """The mean absolute error of `maps` (n, 2, height, width) at the objects' centers, against `values` (k, 2)."""
    predicted = maps.flatten(2)[targets.owners, :, targets.places]
    return (predicted - values).abs().sum() / (values.numel() + TINY)
