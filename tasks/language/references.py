"""What n-gram models score on the text of a language task: the references of its boards. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from optathlon.tasks.language import corpora
from optathlon.tasks.language.settings import AwdLstmSettings, LlamaSettings, TransformerXLSettings
from optathlon.tasks.language.text.corpus import EOS, Corpus
from optathlon.tasks.language.text.ngrams import Split, bigram_perplexities, unigram_perplexity
from optathlon.tasks.task import Protocol

SPLITS: tuple[Split, ...] = ("validation", "test")
Scores = dict[str, dict[str, float]]


def ptb(protocol: Protocol, data: Path) -> Scores:
    """On the Penn Treebank that `protocol` leaves, with its vocabulary: perplexity, and loss in nats a token."""
    return _scores(corpora.penn_treebank(AwdLstmSettings.read(protocol), data), _of_words)


def wikitext103(protocol: Protocol, data: Path) -> Scores:
    """On the WikiText-103 that a Transformer-XL `protocol` leaves: perplexity, and loss in nats a token."""
    return _scores(corpora.wikitext103(TransformerXLSettings.read(protocol), data), _of_words)


def wikitext103_in_subwords(protocol: Protocol, data: Path) -> Scores:
    """On the words of which a Llama `protocol` makes its subwords: perplexity and loss a word, and bits_per_byte."""
    corpus = corpora.wikitext103(LlamaSettings.read(protocol), data)
    sizes = np.array([1 if word == EOS else 1 + len(word.encode()) for word in corpus.words])  # as subwords.lines

    def scores(perplexity: float, split: Split) -> dict[str, float]:
        of_words = _of_words(perplexity, split)
        bytes_a_word = sizes[getattr(corpus, split)].mean()
        return of_words | {"bits_per_byte": of_words["loss"] / float(bytes_a_word) / math.log(2.0)}

    return _scores(corpus, scores)


def _of_words(perplexity: float, _: Split) -> dict[str, float]:
    return {"perplexity": perplexity, "loss": math.log(perplexity)}


def _scores(corpus: Corpus, scores: Callable[[float, Split], dict[str, float]]) -> Scores:
    """Of each model the `scores` that its perplexity on each split comes to, by "split/metric"."""
    models = {
        "unigram": {split: unigram_perplexity(corpus, split) for split in SPLITS},
        "bigram": bigram_perplexities(corpus, SPLITS),
    }
    return {
        model: {
            f"{split}/{metric}": value
            for split in SPLITS
            for metric, value in scores(perplexities[split], split).items()
        }
        for model, perplexities in models.items()
    }
