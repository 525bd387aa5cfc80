"""What the AWD-LSTM task can be told, with Merity et al.'s command-line defaults; needs no torch."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tasks.errors import TaskError
from tasks.task import Protocol

Count = Annotated[int, msgspec.Meta(ge=1)]
Most = Annotated[int, msgspec.Meta(ge=0)]
Rate = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
Weight = Annotated[float, msgspec.Meta(ge=0.0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Protocol.settings` of this task; the names are those of awd-lstm-lm's `main.py` where it has one.

    emsize, nhid, nlayers: widths of the word vectors and of the hidden layers, and the number of LSTM layers.
    dropout, dropouth, dropouti, dropoute, wdrop: after the last layer, between layers, on the word vectors, on whole
        words, and on the hidden-to-hidden weights.
    alpha, beta: weights of activation regularization and of temporal activation regularization.
    bptt: the usual window in tokens; bptt_full is the share of windows drawn around it (the others around half of it),
        bptt_std the deviation, bptt_min the least.
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
    bptt_min: Count = 5
    validation_batch: Count = 10
    test_batch: Count = 1
    vocabulary: Most = 0
    train_tokens: Most = 0
    evaluation_tokens: Most = 0


def settings_of(protocol: Protocol) -> Settings:
    """The typed settings of `protocol`; TaskError names the one that is unknown or out of range."""
    try:
        return msgspec.convert(protocol.settings, Settings)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise TaskError(f"protocol.settings{path.rstrip('`')}: {message}") from None
