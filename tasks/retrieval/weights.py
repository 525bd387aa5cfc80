"""ImageNet's weights of the published backbone: where they must lie, and whether they are the ones. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from optathlon.tasks.images.weights import find
from optathlon.tasks.retrieval.settings import RetrievalSettings
from optathlon.tasks.task import Protocol


def require(protocol: Protocol, root: Path) -> None:
    """DataError if `protocol` starts from weights that are not below the data folder `root`."""
    if RetrievalSettings.read(protocol).backbone == "resnet50":
        find(root)
