"""Metrics, equal to the well-known libraries'."""
