"""Generated sentences with a grammar to learn, for tests: each noun has its own adjectives and verbs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optathlon.tasks.language.text.corpus import UNK
from optathlon.tasks.randomness import generator

SENTENCES = {"train": 2400, "valid": 120, "test": 120}
TOPICS = (
    ("bank broker fund lender trader", "federal private small cautious", "bought sold cut raised lent"),
    ("judge court lawyer witness jury", "former local strict senior", "heard denied delayed settled ruled"),
    ("plant factory mill maker supplier", "new steel chemical modern", "built closed shipped doubled tested"),
    (
        "senator house party committee mayor",
        "democratic republican leading young",
        "passed backed blocked vetoed drafted",
    ),
    ("airline pilot union crew carrier", "foreign cheap regional tired", "landed grounded booked delayed merged"),
    ("doctor hospital patient nurse drug", "generic rare public effective", "treated cured studied approved failed"),
)
THINGS = "bonds stock loans papers cars bills planes tests plans cases jobs prices"


def sentences() -> dict[str, list[list[str]]]:
    """Sentences of words by split, the same on every machine."""
    return {split: [_sentence(generator("ptb", split, i)) for i in range(n)] for split, n in SENTENCES.items()}


def _sentence(random: np.random.Generator) -> list[str]:
    """ "the federal bank raised N bonds while the judge heard <unk> cases": one or two clauses of different topics."""
    first, second = random.choice(len(TOPICS), 2, replace=False)
    words = _clause(random, first)
    if random.random() < 0.5:
        words += ["while", *_clause(random, second)]
    return words


def _clause(random: np.random.Generator, topic: int) -> list[str]:
    nouns, adjectives, verbs = (words.split() for words in TOPICS[topic])
    subject = [_pick(random, adjectives), _pick(random, nouns)] if random.random() < 0.6 else [_pick(random, nouns)]
    amount = ("N", UNK, "some")[random.choice(3, p=(0.6, 0.1, 0.3))]
    return ["the", *subject, _pick(random, verbs), amount, _pick(random, THINGS.split())]


def _pick(random: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(random.integers(len(words)))]
