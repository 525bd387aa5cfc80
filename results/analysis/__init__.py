"""Questions asked of a board, its records and curves, beyond its cells."""
