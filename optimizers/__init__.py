"""What is compared: one update rule a file, the registry, the grids. Importing it imports no torch."""

from optimizers.errors import OptimizerError
from optimizers.grid import Grid, default_grid
from optimizers.registry import names, optimizer
from optimizers.spec import OptimizerSpec

__all__ = ["Grid", "OptimizerError", "OptimizerSpec", "default_grid", "names", "optimizer"]
