"""Fused implementations of update rules: C++ on the CPU, Triton on a GPU, packed sums over sharded weights."""
