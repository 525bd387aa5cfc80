"""A benchmark suite for deep-learning optimizers."""
