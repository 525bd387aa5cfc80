"""Text as tasks read it: corpora, token files, subwords, streams, n-gram models."""
