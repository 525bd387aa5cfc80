"""The n-gram models against a literal count of a tiny text."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from optathlon.tasks.language.text import ngrams
from optathlon.tasks.language.text.corpus import Corpus
from optathlon.tasks.language.text.ngrams import DISCOUNT, bigram_perplexities, bigram_perplexity, unigram_perplexity

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


def at_once(corpus: Corpus, split: str) -> float:
    """The bigram model by one sort of all training pairs."""
    held, words = np.asarray(getattr(corpus, split), dtype=np.int64), len(corpus.words)
    train = np.asarray(corpus.train, dtype=np.int64)
    kinds, counts = np.unique(train[:-1] * words + train[1:], return_counts=True)
    followers, history_counts = np.bincount(kinds // words, minlength=words), np.bincount(kinds // words, counts, words)
    preceded = np.bincount(kinds % words, minlength=words)
    base = (np.maximum(preceded - DISCOUNT, 0) + DISCOUNT * np.count_nonzero(preceded) / words) / len(kinds)
    of = dict(zip(kinds.tolist(), counts.tolist(), strict=True))
    history, word = held[:-1], held[1:]
    found = np.array([max(of.get(pair, 0) - DISCOUNT, 0.0) for pair in (history * words + word).tolist()])
    given = (found + DISCOUNT * followers[history] * base[word]) / np.maximum(history_counts[history], 1)
    return math.exp(-np.log(np.where(history_counts[history] > 0, given, base[word])).mean())


@pytest.mark.parametrize("trial", range(40))
def test_the_counts_of_a_few_pairs_at_a_time_are_those_of_all_at_once(
    trial: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(trial)
    words = int(random.integers(2, 60))
    train, validation, test = (
        (random.zipf(1.3, int(random.integers(2, most))) % words).astype(np.uint32) for most in (600, 100, 100)
    )
    perplexities = Corpus(tuple(map(str, range(words))), train, validation, test)
    unigram = [unigram_perplexity(perplexities, split) for split in ("validation", "test")]
    monkeypatch.setattr(ngrams, "PAIRS_AT_ONCE", int(random.integers(1, 50)))
    monkeypatch.setattr(ngrams, "TOKENS_AT_ONCE", int(random.integers(1, 50)))
    expected = {"validation": at_once(perplexities, "validation"), "test": at_once(perplexities, "test")}
    assert bigram_perplexities(perplexities, ("validation", "test")) == expected, "to the last bit"
    assert [unigram_perplexity(perplexities, split) for split in ("validation", "test")] == unigram


def test_no_more_pairs_are_held_than_one_range_of_histories_has(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    train = (random.zipf(1.2, 20_000) % 500).astype(np.uint32)
    monkeypatch.setattr(ngrams, "PAIRS_AT_ONCE", most := 2000)
    held = []
    real = ngrams._pairs
    monkeypatch.setattr(ngrams, "_pairs", lambda *given: held.append(len(found := real(*given))) or found)
    bigram_perplexity(Corpus(tuple(map(str, range(500))), train, train[:50], train[:50]))
    assert sum(held) == len(train) - 1
    assert max(held) <= max(most, int(np.bincount(train).max()))
