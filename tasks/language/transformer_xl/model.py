"""Transformer-XL: a decoder with a memory of earlier segments and relative positions (Dai et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from optathlon.tasks.language.transformer_xl.adaptive_softmax import AdaptiveSoftmax, TiedVectors
from optathlon.tasks.language.transformer_xl.relative_attention import RelativeAttention, attention_mask, sinusoids

Memory = list[Tensor]  # the inputs of each layer at the last steps, each streams × steps × d_model
DEVIATION = 0.02


class Reading(NamedTuple):
    """How a text is read: so many tokens at a time, with so many remembered."""

    tokens: int
    memory: int
    clamp: int | None = None
    """Distances beyond it count as it."""
    same_length: bool = False
    """Whether every token sees the last `memory` tokens, itself among them, however many there are."""


class Layer(nn.Module):
    """Attention, then two linear layers; each is added to its input and normalized after that."""

    def __init__(self, d_model: int, heads: int, d_head: int, d_inner: int, dropout: float, dropatt: float) -> None:
        super().__init__()
        self.attention = RelativeAttention(d_model, heads, d_head, dropatt)
        self.attention_norm = nn.LayerNorm(d_model)
        self.inner = nn.Linear(d_model, d_inner)
        self.outer = nn.Linear(d_inner, d_model)
        self.outer_norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, distances: Tensor, mask: Tensor, u: Tensor, v: Tensor) -> Tensor:
        x = self.attention_norm(x + self.dropout(self.attention(x, memory, distances, mask, u, v)))
        return self.outer_norm(x + self.dropout(self.outer(self.dropout(F.relu(self.inner(x))))))

    def linears(self) -> list[nn.Linear]:
        """The five that weight normalization is put on."""
        return [self.attention.qkv, self.attention.positions, self.attention.output, self.inner, self.outer]


class TransformerXL(nn.Module):
    """Word vectors, layers that share the biases of attention, and an adaptive softmax tied to the word vectors.

    Weights start normal with deviation 0.02 around 0, those of layer norms around 1; biases at 0 (transformer-xl
    `train.py`). weight_normalized: each row of the five linear layers of a layer is a gain times a direction; at the
    start the function is that without. Word ids must be ranks by frequency, for the softmax.
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        layers: int,
        d_model: int,
        heads: int,
        d_head: int,
        d_inner: int,
        dropout: float,
        dropatt: float,
        cutoffs: Sequence[int],
        weight_normalized: bool = False,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.embedding = nn.Embedding(vocabulary, d_model)
        self.content_bias = nn.Parameter(torch.empty(heads, d_head))
        self.position_bias = nn.Parameter(torch.empty(heads, d_head))
        self.layers = nn.ModuleList(Layer(d_model, heads, d_head, d_inner, dropout, dropatt) for _ in range(layers))
        self.softmax = AdaptiveSoftmax(vocabulary, d_model, cutoffs)
        self.dropout = nn.Dropout(dropout)
        self._initialize()
        if weight_normalized:
            for linear in self.linears():
                weight_norm(linear)

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.LayerNorm | nn.Embedding):
                mean = 1.0 if isinstance(module, nn.LayerNorm) else 0.0
                nn.init.normal_(module.weight, mean, DEVIATION)
            if isinstance(module, nn.Linear | nn.LayerNorm) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for parameter in (self.content_bias, self.position_bias, self.softmax.cluster_vectors):
            if parameter is not None:
                nn.init.normal_(parameter, 0.0, DEVIATION)

    def linears(self) -> list[nn.Linear]:
        """Every linear layer within the layers, five each."""
        return [linear for layer in self.layers if isinstance(layer, Layer) for linear in layer.linears()]

    def forward(
        self,
        tokens: Tensor,
        targets: Tensor,
        memory: Memory,
        reading: Reading,
        places: Sequence[Tensor] | None = None,
    ) -> tuple[Tensor, Memory]:
        """The sum of the targets' negative log-probabilities in nats, and the memory after these tokens.

        tokens, targets: int64, streams × steps. The memory carries no gradient. places: as the softmax gives them.
        """
        vectors = TiedVectors(self.embedding.weight, tokens, self.softmax.sizes)
        hidden, after = self._hidden(vectors.read, memory, reading)
        return self.softmax(hidden, targets, vectors, places), after

    def hidden(self, tokens: Tensor, memory: Memory, reading: Reading) -> tuple[Tensor, Memory]:
        """What the softmax is given, streams × steps × d_model, and the memory after these tokens."""
        return self._hidden(self.embedding(tokens), memory, reading)

    def _hidden(self, x: Tensor, memory: Memory, reading: Reading) -> tuple[Tensor, Memory]:
        steps, keys = x.shape[1], x.shape[1] + memory[0].shape[1]
        mask = attention_mask(steps, keys, reading.memory if reading.same_length else None, x.device)
        back = torch.arange(keys - 1, -1, -1, device=x.device, dtype=self.content_bias.dtype)
        back = back if reading.clamp is None else back.clamp(max=reading.clamp)
        distances = self.dropout(sinusoids(back, self.d_model))
        x = self.dropout(x * math.sqrt(self.d_model))
        after = []
        for layer, remembered in zip(self.layers, memory, strict=True):
            after.append(_latest(remembered, x.detach(), reading.memory))
            x = layer(x, remembered, distances, mask, self.content_bias, self.position_bias)
        return self.dropout(x), after

    def no_memory(self, streams: int) -> Memory:
        """What is remembered where a text begins: nothing, zero steps long."""
        return [self.content_bias.new_zeros(streams, 0, self.d_model) for _ in self.layers]


def _latest(memory: Tensor, x: Tensor, most: int) -> Tensor:
    """The last `most` steps of memory and x together."""
    old = min(max(most - x.shape[1], 0), memory.shape[1])
    return torch.cat([memory[:, memory.shape[1] - old :], x[:, max(x.shape[1] - most, 0) :]], dim=1)
