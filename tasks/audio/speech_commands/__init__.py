"""The Speech Commands data set."""
