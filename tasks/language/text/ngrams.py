"""The simplest language models: what any trained one must beat. Of training only counts are held, never all pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from optathlon.tasks.language.text.corpus import Corpus

DISCOUNT = 0.75
TOKENS_AT_ONCE = PAIRS_AT_ONCE = 1 << 22
Split = Literal["validation", "test"]


def unigram_perplexity(corpus: Corpus, split: Split = "test") -> float:
    """Perplexity on `split` of the word frequencies in training, each count plus one (Laplace); context is unused."""
    counts = _counts(corpus.train, len(corpus.words)) + 1.0
    return math.exp(-np.log(counts / counts.sum())[getattr(corpus, split)].mean())


def bigram_perplexity(corpus: Corpus, split: Split = "test") -> float:
    """Perplexity on `split`, without its first token, of an interpolated Kneser-Ney bigram model (Chen, Goodman 1999).

    p(w | h) = (max(c(h w) - D, 0) + D · types(h ·) · p(w)) / c(h ·), where p(w) is the same of types(· w) over the
    number of kinds of bigrams and a uniform word; D = 0.75.
    """
    return bigram_perplexities(corpus, [split])[split]


def bigram_perplexities(corpus: Corpus, splits: Iterable[Split]) -> dict[Split, float]:
    """`bigram_perplexity` on each of `splits`, from one count of the training pairs."""
    words, train = len(corpus.words), corpus.train
    held: dict[Split, np.ndarray] = {split: np.asarray(getattr(corpus, split), dtype=np.int64) for split in splits}
    asked = {split: ids[:-1] * words + ids[1:] for split, ids in held.items()}
    counts = {split: np.zeros(len(pairs), dtype=np.int64) for split, pairs in asked.items()}
    history_counts = _counts(train[:-1], words)
    followers, preceded = np.zeros(words, dtype=np.int64), np.zeros(words, dtype=np.int64)
    for low, high in _ranges(history_counts):
        kinds, times = np.unique(_pairs(train, low, high, words), return_counts=True)
        followers += np.bincount(kinds // words, minlength=words)
        preceded += np.bincount(kinds % words, minlength=words)
        for split, pairs in asked.items():
            rows = np.flatnonzero((pairs >= low * words) & (pairs < high * words))
            places = np.minimum(np.searchsorted(kinds, pairs[rows]), len(kinds) - 1)
            is_seen = kinds[places] == pairs[rows]
            counts[split][rows[is_seen]] = times[places[is_seen]]
    base = (np.maximum(preceded - DISCOUNT, 0) + DISCOUNT * np.count_nonzero(preceded) / words) / followers.sum()

    perplexities = {}
    for split, ids in held.items():
        history, word = ids[:-1], ids[1:]
        discounted = np.where(counts[split] > 0, counts[split] - DISCOUNT, 0.0)
        conditional = (discounted + DISCOUNT * followers[history] * base[word]) / np.maximum(history_counts[history], 1)
        perplexities[split] = math.exp(-np.log(np.where(history_counts[history] > 0, conditional, base[word])).mean())
    return perplexities


def _counts(ids: np.ndarray, words: int) -> np.ndarray:
    """How often each word occurs in `ids`, which may lie on disk."""
    counts = np.zeros(words, dtype=np.int64)
    for start in range(0, len(ids), TOKENS_AT_ONCE):
        counts += np.bincount(ids[start : start + TOKENS_AT_ONCE], minlength=words)
    return counts


def _ranges(history_counts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of histories that cover all words: each begins at most PAIRS_AT_ONCE pairs, or is one history alone.

    Ranges without a pair are left out.
    """
    low = total = 0
    for history, count in enumerate(history_counts.tolist()):
        if total and total + count > PAIRS_AT_ONCE:
            yield low, history
            low, total = history, 0
        total += count
    if total:
        yield low, len(history_counts)


def _pairs(train: np.ndarray, low: int, high: int, words: int) -> np.ndarray:
    """history * words + word of each pair in `train` whose history is from `low` up to `high`, without it."""
    pieces = []
    for start in range(0, len(train) - 1, TOKENS_AT_ONCE):
        ids = train[start : start + TOKENS_AT_ONCE + 1]
        places = np.flatnonzero((ids[:-1] >= low) & (ids[:-1] < high))
        pieces.append(ids[places].astype(np.int64) * words + ids[places + 1])
    return np.concatenate(pieces)
