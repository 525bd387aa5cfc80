"""The probes that a setting may name: what is measured while training beside the norms, and what each needs.

A probe changes no weight, but what a record holds: it belongs to the setting, and so to the run's id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optathlon.suite.errors import UsageError, hint

PROBES = {
    "gradient_norm": "norm of the gradient as the optimizer gets it, after clipping",
    "gradient_cosine": "|cosine| of gradient and weight: largest over scale-invariant tensors, smallest over others",
    "detection": "share of tensors that AdamP's test takes for what they are, at each δ of its table B.1",
    "projected_share": "share of the weights whose last step was projected (SGDP, AdamP)",
    "update_ratio": "norm of the update by norm of the weights",
    "angular_update": "angle in radians by which a row of scale-invariant weights turns in an update, on average",
    "layers": "the norms and the effective step of each of the network's outermost modules",
    "oscillation": "AdaRem's Q, path by displacement of single weights over 2,000 updates: mean and median",
    "trajectory": "where one weight is after each of the first 2,000 updates, and how long its path to there was",
}


def check_probes(names: Any) -> list[str]:
    """Returns `names` sorted, as a setting holds them; UsageError if they are not a list of known probes."""
    if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(n, str) for n in names):
        raise UsageError(f'probes: must be a list of names, ["oscillation"], not {names!r}')
    for name in names:
        if name not in PROBES:
            raise UsageError(f"probes: {name!r} is unknown{hint(name, PROBES)}")
    return sorted(set(names))
