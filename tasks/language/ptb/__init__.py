"""The Penn Treebank data set."""
