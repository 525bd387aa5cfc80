"""Checks that the five rooms are ours: their import names are common words that a user's own file may shadow."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from suite.errors import MachineError

HOME = Path(__file__).resolve().parent.parent


def check() -> None:
    """Raise MachineError naming the intruder if tasks, optimizers, results or slurm would come from elsewhere."""
    for room in ("tasks", "optimizers", "results", "slurm"):
        spec = importlib.util.find_spec(room)
        found = None if spec is None else spec.origin or next(iter(spec.submodule_search_locations or []), None)
        if found is None or not Path(found).resolve().is_relative_to(HOME / room):
            raise MachineError(
                f"the package {room!r} is found at {found}, not at {HOME / room}: rename that file, or leave its folder"
            )
