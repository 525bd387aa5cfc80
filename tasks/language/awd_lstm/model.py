"""AWD-LSTM: a weight-dropped LSTM language model with tied embeddings (Merity et al. 2017)."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Memory = list[tuple[Tensor, Tensor]]  # (hidden, cell) of each layer, each 1 × streams × width


class Output(NamedTuple):
    """`dropped` and `raw`: the last layer's output after and before its dropout, steps × streams × emsize."""

    dropped: Tensor
    raw: Tensor
    memory: Memory


def locked_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Dropout of steps × streams × width with one mask for all steps (Gal & Ghahramani 2016)."""
    if not training or not p:
        return x
    return x * F.dropout(torch.ones_like(x[:1]), p)


class WeightDropLSTM(nn.Module):
    """One LSTM layer whose hidden-to-hidden weights are dropped anew in every forward in training (DropConnect).

    The weights are passed to torch's kernel explicitly, so nothing is hidden from the optimizer or replaced in
    evaluation. Weights and biases start uniform in ±1/√width, as nn.LSTM's. Gates in torch's order: input, forget,
    cell, output.
    """

    def __init__(self, inputs: int, width: int, wdrop: float) -> None:
        super().__init__()
        self.wdrop = wdrop
        self.weight_ih = nn.Parameter(torch.empty(4 * width, inputs))
        self.weight_hh = nn.Parameter(torch.empty(4 * width, width))
        self.bias_ih = nn.Parameter(torch.empty(4 * width))
        self.bias_hh = nn.Parameter(torch.empty(4 * width))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(width), 1 / math.sqrt(width))

    def forward(self, x: Tensor, memory: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x: steps × streams × inputs. Returns steps × streams × width and the new (hidden, cell)."""
        weight_hh = F.dropout(self.weight_hh, self.wdrop, self.training)
        weights = [self.weight_ih, weight_hh, self.bias_ih, self.bias_hh]
        output, hidden, cell = torch.lstm(x, memory, weights, True, 1, 0.0, self.training, False, False)
        return output, (hidden, cell)


class AwdLstmModel(nn.Module):
    """Word vectors, `nlayers` weight-dropped LSTM layers emsize → nhid → … → emsize, a decoder tied to the vectors.

    Word vectors start uniform in ±0.1, the decoder's bias at 0 (awd-lstm-lm `model.py`).
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        emsize: int,
        nhid: int,
        nlayers: int,
        dropout: float,
        dropouth: float,
        dropouti: float,
        dropoute: float,
        wdrop: float,
    ) -> None:
        super().__init__()
        self.dropout, self.dropouth, self.dropouti, self.dropoute = dropout, dropouth, dropouti, dropoute
        self.encoder = nn.Embedding(vocabulary, emsize)
        self.widths = [emsize, *[nhid] * (nlayers - 1), emsize]
        self.layers = nn.ModuleList(
            WeightDropLSTM(inputs, width, wdrop) for inputs, width in itertools.pairwise(self.widths)
        )
        self.decoder_bias = nn.Parameter(torch.zeros(vocabulary))
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)

    def forward(self, tokens: Tensor, memory: Memory) -> Output:
        """tokens: int64, steps × streams. The memory may carry gradients; the caller detaches it between windows."""
        x = locked_dropout(self.embed(tokens), self.dropouti, self.training)
        after: Memory = []
        last = len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            x, new = layer(x, memory[number])
            after.append(new)
            if number != last:
                x = locked_dropout(x, self.dropouth, self.training)
        return Output(locked_dropout(x, self.dropout, self.training), x, after)

    def embed(self, tokens: Tensor) -> Tensor:
        """The tokens' vectors; in training a word is dropped at all its places or scaled at all (embedding dropout)."""
        vectors = self.encoder(tokens)
        if not self.training or not self.dropoute:
            return vectors
        scales = F.dropout(vectors.new_ones(self.encoder.num_embeddings), self.dropoute)
        return vectors * scales[tokens].unsqueeze(-1)

    def decode(self, output: Tensor) -> Tensor:
        """Logits over the vocabulary, ... × vocabulary, of output ... × emsize."""
        return F.linear(output, self.encoder.weight, self.decoder_bias)

    def no_memory(self, streams: int) -> Memory:
        """Zero hidden and cell states, where a text begins."""
        zeros = [self.decoder_bias.new_zeros(1, streams, width) for width in self.widths[1:]]
        return [(zero, zero.clone()) for zero in zeros]
