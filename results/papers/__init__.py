"""The papers' published tables, and ours beside them."""
