"""The simplest language model: what any trained one must beat."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from tasks.language.ptb import Corpus


def unigram_perplexity(corpus: Corpus, split: Literal["validation", "test"] = "test") -> float:
    """Perplexity on `split` of the word frequencies in training, each count plus one (Laplace); context is unused."""
    counts = np.bincount(corpus.train, minlength=len(corpus.words)) + 1.0
    return math.exp(-np.log(counts / counts.sum())[getattr(corpus, split)].mean())
