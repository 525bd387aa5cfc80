"""The WikiText-103 data set."""
