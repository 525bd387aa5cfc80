"""The simplest language models: what any trained one must beat."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from tasks.language.ptb import Corpus

DISCOUNT = 0.75
Split = Literal["validation", "test"]


def unigram_perplexity(corpus: Corpus, split: Split = "test") -> float:
    """Perplexity on `split` of the word frequencies in training, each count plus one (Laplace); context is unused."""
    counts = np.bincount(corpus.train, minlength=len(corpus.words)) + 1.0
    return math.exp(-np.log(counts / counts.sum())[getattr(corpus, split)].mean())


def bigram_perplexity(corpus: Corpus, split: Split = "test") -> float:
    """Perplexity on `split`, without its first token, of an interpolated Kneser-Ney bigram model (Chen, Goodman 1999).

    p(w | h) = (max(c(h w) - D, 0) + D · types(h ·) · p(w)) / c(h ·), where p(w) is the same of types(· w) over the
    number of kinds of bigrams and a uniform word; D = 0.75.
    """
    held, words = np.asarray(getattr(corpus, split), dtype=np.int64), len(corpus.words)
    train = np.asarray(corpus.train, dtype=np.int64)
    kinds, counts = np.unique(train[:-1] * words + train[1:], return_counts=True)
    before, after = kinds // words, kinds % words
    followers = np.bincount(before, minlength=words)
    seen = np.bincount(before, counts, minlength=words)
    preceded = np.bincount(after, minlength=words)
    base = (np.maximum(preceded - DISCOUNT, 0) + DISCOUNT * np.count_nonzero(preceded) / words) / len(kinds)

    asked = held[:-1] * words + held[1:]
    at = np.minimum(np.searchsorted(kinds, asked), len(kinds) - 1)
    found = np.where(kinds[at] == asked, counts[at] - DISCOUNT, 0.0)
    history, word = held[:-1], held[1:]
    known = seen[history] > 0
    given = (found + DISCOUNT * followers[history] * base[word]) / np.maximum(seen[history], 1)
    return math.exp(-np.log(np.where(known, given, base[word])).mean())
