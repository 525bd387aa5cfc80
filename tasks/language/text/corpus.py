"""A tokenized text in three splits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

UNK, EOS = "<unk>", "<eos>"


@dataclass(frozen=True)
class Corpus:
    """Token ids (int64) of each split, each line ended by <eos>; words[i] is the word with id i."""

    words: tuple[str, ...]
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def cut(self, train: int, evaluation: int) -> Corpus:
        """Only that many tokens from the start of the training split, and of each of the others; 0 for all."""
        most = evaluation or None
        return replace(
            self, train=self.train[: train or None], validation=self.validation[:most], test=self.test[:most]
        )

    def limited(self, vocabulary: int) -> Corpus:
        """This corpus with the `vocabulary` - 1 words most frequent in training; all others are <unk>."""
        if vocabulary >= len(self.words):
            return self
        counts = np.bincount(self.train, minlength=len(self.words))
        kept = [i for i in np.argsort(-counts, kind="stable").tolist() if self.words[i] != UNK][: vocabulary - 1]
        new = np.zeros(len(self.words), dtype=np.int64)
        new[kept] = np.arange(1, len(kept) + 1)
        return Corpus((UNK, *(self.words[i] for i in kept)), new[self.train], new[self.validation], new[self.test])
