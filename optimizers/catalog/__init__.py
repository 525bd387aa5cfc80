"""Descriptions of the built-in optimizers: the suite's and torch's own, and those of the package pytorch-optimizer."""
