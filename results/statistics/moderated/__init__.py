"""One method for all marks of a board: moderated variances, common seeds, simultaneous tests (docs/statistics.md)."""
