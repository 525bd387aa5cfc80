"""A softmax over many words that spends little on the rare ones (Grave et al. 2017), tied to the word vectors."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class _Gradient:
    """The gradient of a matrix that is split into parts, not yet filled; made in a backward pass when first needed."""

    def __init__(self, matrix: Tensor, sizes: list[int]) -> None:
        self.like, self.sizes = matrix.detach(), sizes
        self.whole: Tensor | None = None

    def parts(self) -> tuple[Tensor, ...]:
        self.whole = torch.empty_like(self.like) if self.whole is None else self.whole
        return self.whole.split(self.sizes)


class _Split(torch.autograd.Function):
    """torch.split of the rows, whose gradient is written once: where no word of a cluster occurs, torch makes zeros,
    and then copies them. A part's gradient that is in its place already is not copied."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, gradient: _Gradient) -> tuple[Tensor, ...]:
        ctx.gradient = gradient
        ctx.set_materialize_grads(False)
        return matrix.split(gradient.sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        for part, gradient in zip(ctx.gradient.parts(), gradients, strict=True):
            if gradient is None:
                part.zero_()
            elif gradient.data_ptr() != part.data_ptr():
                part.copy_(gradient)
        whole, ctx.gradient.whole = ctx.gradient.whole, None
        return whole, None


class _Product(torch.autograd.Function):
    """x @ weight.T, where weight is part `number` of a split matrix and its gradient is written where it belongs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, gradient: _Gradient, number: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.gradient, ctx.number = gradient, number
        return x @ weight.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight = ctx.saved_tensors
        own = torch.mm(outer.T, x, out=ctx.gradient.parts()[ctx.number])
        return outer @ weight, own, None, None


class AdaptiveSoftmax(nn.Module):
    """Words in clusters of falling frequency; the first cluster's words compete with one entry for each other cluster.

    Word ids must be ranks by frequency. Every word's output vector is its row of `vectors`, which belongs to the word
    embedding and is given in each call; only biases and the vectors of the cluster entries are held here. `cutoffs` are
    the first ids of the clusters after the first; those beyond the vocabulary are left out, with none left this is a
    plain softmax. torch's AdaptiveLogSoftmaxWithLoss is not tied, projects down, and has no biases in the tails.
    """

    def __init__(self, vocabulary: int, width: int, cutoffs: Sequence[int]) -> None:
        super().__init__()
        edges = [0, *(cutoff for cutoff in cutoffs if cutoff < vocabulary), vocabulary]
        self.sizes = [end - start for start, end in itertools.pairwise(edges)]
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        tails = len(self.sizes) - 1  # without any there is no parameter: many optimizers do not take empty ones
        self.cluster_vectors = nn.Parameter(torch.empty(tails, width)) if tails else None
        self.cluster_bias = nn.Parameter(torch.zeros(tails)) if tails else None

    def forward(self, hidden: Tensor, targets: Tensor, vectors: Tensor) -> Tensor:
        """The sum of the targets' negative log-probabilities, in nats.

        hidden: ... × width. targets: int64, of the same shape without width. vectors: vocabulary × width.
        """
        hidden, targets = hidden.flatten(0, -2), targets.flatten()
        gradient = _Gradient(vectors, self.sizes)
        (head, *tails), (head_bias, *tail_biases) = self._clusters(vectors, gradient)
        in_place = vectors.requires_grad and not torch.is_autocast_enabled(hidden.device.type)
        in_head = targets
        total = hidden.new_zeros(())
        start = self.sizes[0]
        for number, (weight, bias) in enumerate(zip(tails, tail_biases, strict=True)):
            end = start + len(bias)
            rows = ((targets >= start) & (targets < end)).nonzero().squeeze(1)
            if len(rows):
                if in_place:
                    logits = _Product.apply(hidden[rows], weight, gradient, number + 1) + bias
                else:
                    logits = F.linear(hidden[rows], weight, bias)
                total = total + F.cross_entropy(logits, targets[rows] - start, reduction="sum")
                in_head = in_head.index_fill(0, rows, self.sizes[0] + number)
            start = end
        return total + F.cross_entropy(F.linear(hidden, head, head_bias), in_head, reduction="sum")

    def log_probabilities(self, hidden: Tensor, vectors: Tensor) -> Tensor:
        """The logarithm of every word's probability, ... × vocabulary; they sum to one over the words."""
        (head, *tails), (head_bias, *tail_biases) = self._clusters(vectors, _Gradient(vectors, self.sizes))
        first, entries = F.log_softmax(F.linear(hidden, head, head_bias), -1).split([self.sizes[0], len(tails)], -1)
        rest = [
            entry.unsqueeze(-1) + F.log_softmax(F.linear(hidden, weight, bias), -1)
            for entry, weight, bias in zip(entries.unbind(-1), tails, tail_biases, strict=True)
        ]
        return torch.cat([first, *rest], dim=-1)

    def _clusters(self, vectors: Tensor, gradient: _Gradient) -> tuple[list[Tensor], list[Tensor]]:
        """Weights and biases of each cluster's softmax, those of the entries with the first."""
        weights, biases = list(_Split.apply(vectors, gradient)), list(self.bias.split(self.sizes))
        if self.cluster_vectors is not None and self.cluster_bias is not None:
            weights[0] = torch.cat([weights[0], self.cluster_vectors])
            biases[0] = torch.cat([biases[0], self.cluster_bias])
        return weights, biases
