"""Transformer-XL with an adaptive softmax."""
