"""What the language tasks can be told, with the published command-line defaults; needs no torch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec

from optathlon.tasks.errors import TaskError
from optathlon.tasks.settings import Count, DropRate, Limit, Probability, Settings, Share, Weight
from optathlon.tasks.task import LARGEST, Protocol


class LanguageSettings(Settings, frozen=True, kw_only=True):
    """What every task on a text in three published splits can be told."""

    holdouts: ClassVar = ("published", "none")

    train_tokens: Limit = 0
    """Only that many words from the start of the training split; 0 for all."""
    evaluation_tokens: Limit = 0
    """Only that many words from the start of each other split; 0 for all."""

    def _check_streams(self, protocol: Protocol, evaluated: Sequence[str], rows: int) -> None:
        """TaskError if the tokens, where the settings limit them, are too few for the streams of training or of the
        settings `evaluated`."""
        if self.train_tokens:
            check_streams("protocol.batch", protocol.batch, self.train_tokens, rows)
        if self.evaluation_tokens:
            for name in evaluated:
                check_streams(f"protocol.settings.{name}", getattr(self, name), self.evaluation_tokens, rows)


class AwdLstmSettings(LanguageSettings, frozen=True, kw_only=True):
    """`Protocol.settings` of AWD-LSTM; the names are those of awd-lstm-lm's `main.py` where it has one."""

    emsize: Count = 400
    """Width of the word vectors."""
    nhid: Count = 1150
    """Width of the hidden layers; the last one is as wide as a word vector."""
    nlayers: Count = 3
    dropout: DropRate = 0.4
    """After the last layer."""
    dropouth: DropRate = 0.3
    """Between layers."""
    dropouti: DropRate = 0.65
    """On the word vectors."""
    dropoute: DropRate = 0.1
    """Of whole words."""
    wdrop: DropRate = 0.5
    """Of hidden-to-hidden weights."""
    alpha: Weight = 2.0
    """Of activation regularization."""
    beta: Weight = 1.0
    """Of temporal activation regularization."""
    bptt: Count = 70
    """The usual window in tokens."""
    bptt_full: Probability = 0.95
    """Share of windows drawn around `bptt`; the others are drawn around half of it."""
    bptt_std: Weight = 5.0
    """Deviation of a window's length."""
    bptt_min: Annotated[int, msgspec.Meta(ge=2, le=LARGEST)] = 5
    """The shortest window; temporal activation regularization compares two tokens."""
    validation_batch: Count = 10
    """Streams in evaluation on the validation split."""
    test_batch: Count = 1
    """Streams in evaluation on the test split."""
    vocabulary: Limit = 0
    """Only that many words, the most frequent in training, the others as <unk>; 0 for all."""

    def check(self, protocol: Protocol) -> None:
        if self.vocabulary == 1:
            raise TaskError("protocol.settings.vocabulary: 1 leaves <unk> alone, expected 0 for all, or 2 or more")
        self._check_streams(protocol, ("validation_batch", "test_batch"), rows=3)


class TransformerXLSettings(LanguageSettings, frozen=True, kw_only=True):
    """`Protocol.settings` of Transformer-XL; the names are those of transformer-xl's `train.py` where it has one."""

    n_layer: Count = 16
    d_model: Count = 410
    """Width of words and layers."""
    n_head: Count = 10
    d_head: Count = 41
    """Width of one attention head."""
    d_inner: Count = 2100
    """Width between the two linear layers."""
    dropout: DropRate = 0.1
    """Everywhere."""
    dropatt: DropRate = 0.0
    """On the attention's weights."""
    weight_norm: bool = False
    """Of the five linear layers of each layer."""
    cutoffs: list[Count] = msgspec.field(default_factory=lambda: [20_000, 40_000, 200_000])
    """Ranks at which the softmax's clusters after the first begin; those beyond the vocabulary are left out."""
    tgt_len: Count = 150
    """Tokens in a segment, in training and evaluation."""
    mem_len: Limit = 150
    """Tokens remembered before it; here 0 is none."""
    evaluation_batch: Count = 10
    """Streams in evaluation."""

    def check(self, protocol: Protocol) -> None:
        if self.d_model % 2:
            raise TaskError(
                f"protocol.settings.d_model: {self.d_model} must be even: positions are pairs of sine and cosine"
            )
        if any(first >= second for first, second in itertools.pairwise(self.cutoffs)):
            raise TaskError(f"protocol.settings.cutoffs: {self.cutoffs} must ascend")
        self._check_streams(protocol, ("evaluation_batch",), rows=2)


class LlamaSettings(LanguageSettings, frozen=True, kw_only=True):
    """`Protocol.settings` of the Llama task."""

    layers: Count = 12
    hidden: Count = 512
    """Width of words and layers."""
    heads: Count = 8
    """Attention heads, which share `hidden`."""
    intermediate: Count = 1408
    """Width of the gated layer."""
    initializer_range: Share = 0.02
    """Deviation of every matrix at the start, as transformers calls it, which takes no more than 1."""
    vocabulary: Annotated[int, msgspec.Meta(ge=257, le=LARGEST)] = 32_000
    """At most so many subwords: 256 bytes and more."""
    context: Count = 512
    """Subwords in a block."""

    def check(self, protocol: Protocol) -> None:
        if self.hidden % (2 * self.heads):
            raise TaskError(
                f"protocol.settings.hidden: {self.hidden} must be an even number times heads {self.heads}: positions"
                " are pairs of sine and cosine"
            )


def check_streams(name: str, streams: int, tokens: int, rows: int) -> None:
    """TaskError, with the `name` of the setting that `streams` is, if `tokens` give them less than `rows` each."""
    if tokens // streams < rows:
        raise TaskError(f"{name}: {streams} streams are too many for {tokens} tokens; at most {tokens // rows}")
