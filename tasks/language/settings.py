"""What the tasks of this family can be told, with the published command-line defaults; needs no torch."""

from __future__ import annotations

import itertools
from typing import Annotated, TypeVar

import msgspec

from optathlon.tasks.errors import TaskError
from optathlon.tasks.task import Protocol

Count = Annotated[int, msgspec.Meta(ge=1)]
Most = Annotated[int, msgspec.Meta(ge=0)]
Rate = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
Weight = Annotated[float, msgspec.Meta(ge=0.0)]
Kind = TypeVar("Kind", bound=msgspec.Struct)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Protocol.settings` of AWD-LSTM; the names are those of awd-lstm-lm's `main.py` where it has one.

    emsize, nhid, nlayers: widths of the word vectors and of the hidden layers, and the number of LSTM layers.
    dropout, dropouth, dropouti, dropoute, wdrop: after the last layer, between layers, on the word vectors, on whole
        words, and on the hidden-to-hidden weights.
    alpha, beta: weights of activation regularization and of temporal activation regularization.
    bptt: the usual window in tokens; bptt_full is the share of windows drawn around it (the others around half of it),
        bptt_std the deviation, bptt_min the least, of which two tokens are needed to compare.
    validation_batch, test_batch: streams in evaluation.
    vocabulary: only that many words, the most frequent in training, the others as <unk>; 0 for all.
    train_tokens, evaluation_tokens: only that many from the start of each split; 0 for all.
    """

    emsize: Count = 400
    nhid: Count = 1150
    nlayers: Count = 3
    dropout: Rate = 0.4
    dropouth: Rate = 0.3
    dropouti: Rate = 0.65
    dropoute: Rate = 0.1
    wdrop: Rate = 0.5
    alpha: Weight = 2.0
    beta: Weight = 1.0
    bptt: Count = 70
    bptt_full: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.95
    bptt_std: Weight = 5.0
    bptt_min: Annotated[int, msgspec.Meta(ge=2)] = 5
    validation_batch: Count = 10
    test_batch: Count = 1
    vocabulary: Most = 0
    train_tokens: Most = 0
    evaluation_tokens: Most = 0


class TransformerXLSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Protocol.settings` of Transformer-XL; the names are those of transformer-xl's `train.py` where it has one.

    n_layer, d_model, n_head, d_head, d_inner: layers, width, attention heads and their width, width between the two
        linear layers. Words are embedded at d_model.
    dropout, dropatt: everywhere, and on the attention's weights.
    weight_norm: of the five linear layers of each layer.
    cutoffs: ranks at which the softmax's clusters after the first begin; those beyond the vocabulary are left out.
    tgt_len, mem_len: tokens a segment, and tokens remembered before it, in training and evaluation.
    evaluation_batch: streams in evaluation.
    train_tokens, evaluation_tokens: only that many from the start of each split; 0 for all.
    """

    n_layer: Count = 16
    d_model: Count = 410
    n_head: Count = 10
    d_head: Count = 41
    d_inner: Count = 2100
    dropout: Rate = 0.1
    dropatt: Rate = 0.0
    weight_norm: bool = False
    cutoffs: list[Count] = msgspec.field(default_factory=lambda: [20_000, 40_000, 200_000])
    tgt_len: Count = 150
    mem_len: Most = 150
    evaluation_batch: Count = 10
    train_tokens: Most = 0
    evaluation_tokens: Most = 0

    def __post_init__(self) -> None:
        if self.d_model % 2:
            raise ValueError(f"d_model {self.d_model} must be even: positions are pairs of sine and cosine")
        if any(first >= second for first, second in itertools.pairwise(self.cutoffs)):
            raise ValueError(f"cutoffs {self.cutoffs} must ascend")


class LlamaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Protocol.settings` of the Llama task.

    layers, hidden, heads, intermediate: depth, width, attention heads, width of the gated layer.
    initializer_range: deviation of every matrix at the start, as transformers calls it.
    vocabulary: at most so many subwords. context: subwords in a block.
    train_tokens, evaluation_tokens: only that many words from the start of each split; 0 for all.
    """

    layers: Count = 12
    hidden: Count = 512
    heads: Count = 8
    intermediate: Count = 1408
    initializer_range: Annotated[float, msgspec.Meta(gt=0.0)] = 0.02
    vocabulary: Annotated[int, msgspec.Meta(ge=257)] = 32_000
    context: Count = 512
    train_tokens: Most = 0
    evaluation_tokens: Most = 0

    def __post_init__(self) -> None:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden {self.hidden} must be an even number times heads {self.heads}: rotary positions")


def settings_of(protocol: Protocol) -> Settings:
    """The typed settings of an AWD-LSTM protocol; TaskError names the one that is unknown or out of range."""
    return _typed(protocol, Settings)


def transformer_xl_settings_of(protocol: Protocol) -> TransformerXLSettings:
    """The typed settings of a Transformer-XL protocol; TaskError names the one that is unknown or out of range."""
    return _typed(protocol, TransformerXLSettings)


def llama_settings_of(protocol: Protocol) -> LlamaSettings:
    """The typed settings of a Llama protocol; TaskError names the one that is unknown or out of range."""
    return _typed(protocol, LlamaSettings)


def _typed(protocol: Protocol, kind: type[Kind]) -> Kind:
    if protocol.holdout == "carved":
        raise TaskError("protocol.holdout: the validation split is published, expected published or none")
    try:
        return msgspec.convert(protocol.settings, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise TaskError(f"protocol.settings{path.rstrip('`')}: {message}") from None
