"""The n-gram models against a literal count of a tiny text."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from tasks.language.ngrams import DISCOUNT, bigram_perplexity, unigram_perplexity
from tasks.language.ptb import Corpus

TRAIN = [0, 1, 2, 0, 1, 3, 0, 1, 2, 2, 0]


def corpus(test: list[int], words: int = 6) -> Corpus:
    ids = np.array(TRAIN, dtype=np.uint32)
    return Corpus(tuple("abcdef"[:words]), ids, ids[:3], np.array(test, dtype=np.uint32))


def literal_probability(history: int, word: int, words: int = 6) -> float:
    """Interpolated Kneser-Ney: discounted counts, then discounted numbers of contexts, then all words alike."""
    bigrams = Counter(pairwise(TRAIN))
    contexts = Counter(w for _, w in bigrams)
    lower = max(contexts[word] - DISCOUNT, 0) / len(bigrams) + DISCOUNT * len(contexts) / len(bigrams) / words
    total = sum(count for (h, _), count in bigrams.items() if h == history)
    if not total:
        return lower
    kinds = sum(1 for h, _ in bigrams if h == history)
    return (max(bigrams[history, word] - DISCOUNT, 0) + DISCOUNT * kinds * lower) / total


@pytest.mark.parametrize("history", [0, 1, 3, 5])
def test_probabilities_of_all_words_after_a_history_sum_to_one(history: int) -> None:
    found = [1 / bigram_perplexity(corpus([history, word])) for word in range(6)]
    assert found == pytest.approx([literal_probability(history, word) for word in range(6)])
    assert sum(found) == pytest.approx(1)


def test_perplexity_is_over_all_tokens_but_the_first() -> None:
    test = [4, 0, 1, 5, 2, 2]
    expected = math.prod(literal_probability(h, w) for h, w in pairwise(test)) ** (-1 / 5)
    assert bigram_perplexity(corpus(test)) == pytest.approx(expected)
    assert bigram_perplexity(corpus(test), "validation") == pytest.approx(
        (literal_probability(0, 1) * literal_probability(1, 2)) ** -0.5
    )


def test_the_unigram_model_is_the_training_frequencies_plus_one() -> None:
    assert unigram_perplexity(corpus([0, 5])) == pytest.approx((5 / 17 * 1 / 17) ** -0.5)
