"""What is compared: one update rule per file, the registry, the grids. Importing it imports no torch."""

from optathlon.optimizers.errors import OptimizerError
from optathlon.optimizers.grid import Grid, default_grid
from optathlon.optimizers.registry import is_built_in, names, optimizer
from optathlon.optimizers.spec import OptimizerSpec

__all__ = ["Grid", "OptimizerError", "OptimizerSpec", "default_grid", "is_built_in", "names", "optimizer"]
