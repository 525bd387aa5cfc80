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


class _Tie(torch.autograd.Function):
    """A matrix's rows at `words`, and the matrix in parts. Its gradient is written once, where autograd would fill one
    of its size with zeros for each use and add them up; a part's gradient that is in its place is not copied."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, words: Tensor, gradient: _Gradient) -> tuple[Tensor, ...]:
        ctx.save_for_backward(words)
        ctx.gradient = gradient
        ctx.set_materialize_grads(False)
        return F.embedding(words, matrix), *matrix.split(gradient.sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, rows: Tensor | None, *gradients: Tensor | None) -> tuple[Tensor | None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        for part, gradient in zip(ctx.gradient.parts(), gradients, strict=True):
            if gradient is None:
                part.zero_()
            elif gradient.data_ptr() != part.data_ptr():
                part.copy_(gradient)
        whole, ctx.gradient.whole = ctx.gradient.whole, None
        if rows is not None:
            _add_rows(whole, ctx.saved_tensors[0].flatten(), rows.flatten(0, -2))
        return whole, None, None


def _add_rows(matrix: Tensor, places: Tensor, rows: Tensor) -> None:
    """matrix[at] += rows in an order that is always the same, also where a row is named more than once."""
    if matrix.device.type == "cpu":
        matrix.index_add_(0, places, rows)
    else:
        matrix.index_put_((places,), rows, accumulate=True)


class _Linear(torch.autograd.Function):
    """F.linear, where weight is part `number` of a tied matrix and its gradient is written where it belongs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, gradient: _Gradient, number: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.gradient, ctx.number = gradient, number
        return F.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight = ctx.saved_tensors
        for_weight = torch.mm(outer.T, x, out=ctx.gradient.parts()[ctx.number])
        return outer @ weight, for_weight, outer.sum(0), None, None


class TiedVectors:
    """Word vectors for one pass: of the words that are read, and of all words in clusters, to predict from.

    matrix: vocabulary × width. words: int64, any shape. sizes: how many words each cluster has. `read` has words' shape
    × width; `clusters` are views.
    """

    def __init__(self, matrix: Tensor, words: Tensor, sizes: list[int]) -> None:
        self.gradient = _Gradient(matrix, sizes)
        self._placed: set[int] = set()  # clusters whose place holds the gradient of one product, and of no second
        self.read, *self.clusters = _Tie.apply(matrix, words, self.gradient)

    def linear(self, x: Tensor, cluster: int, bias: Tensor) -> Tensor:
        """F.linear(x, clusters[cluster], bias)."""
        weight = self.clusters[cluster]
        if weight.requires_grad and cluster not in self._placed and not torch.is_autocast_enabled(x.device.type):
            self._placed.add(cluster)
            return _Linear.apply(x, weight, bias, self.gradient, cluster)
        return F.linear(x, weight, bias)


class AdaptiveSoftmax(nn.Module):
    """Words in clusters of falling frequency; the first cluster's words compete with one entry for each other cluster.

    Word ids must be ranks by frequency. Every word's output vector is its word embedding, which is given in each call;
    only biases and the vectors of the cluster entries are held here. `cutoffs` are the first ids of the clusters after
    the first; those beyond the vocabulary are left out, with none left this is a plain softmax. torch's
    AdaptiveLogSoftmaxWithLoss is not tied, projects down, and has no biases in the tails.
    """

    def __init__(self, vocabulary: int, width: int, cutoffs: Sequence[int]) -> None:
        super().__init__()
        edges = [0, *(cutoff for cutoff in cutoffs if cutoff < vocabulary), vocabulary]
        self.sizes = [end - start for start, end in itertools.pairwise(edges)]
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        tails = len(self.sizes) - 1  # without any there is no parameter: many optimizers do not take empty ones
        self.cluster_vectors = nn.Parameter(torch.empty(tails, width)) if tails else None
        self.cluster_bias = nn.Parameter(torch.zeros(tails)) if tails else None

    def places(self, targets: Tensor) -> list[Tensor]:
        """Returns, for each cluster after the first, where its words stand among `targets`, int64.

        On a GPU their numbers must be waited for, so who has the targets on the host as well asks there.
        """
        starts = itertools.accumulate(self.sizes)
        clusters = zip(starts, self.sizes[1:], strict=False)  # no cluster starts where the last one ends
        targets = targets.flatten()
        return [((targets >= start) & (targets < start + size)).nonzero().squeeze(1) for start, size in clusters]

    def forward(
        self, hidden: Tensor, targets: Tensor, vectors: TiedVectors, places: Sequence[Tensor] | None = None
    ) -> Tensor:
        """The sum of the targets' negative log-probabilities, in nats.

        hidden: ... × width. targets: int64, of the same shape without width. vectors: in clusters of `sizes`. places:
        of these targets, on their device.
        """
        places = self.places(targets) if places is None else places
        hidden, targets = hidden.flatten(0, -2), targets.flatten()
        biases = self.bias.split(self.sizes)
        in_head = targets
        total = hidden.new_zeros(())
        start = first = self.sizes[0]
        for number, (size, rows) in enumerate(zip(self.sizes[1:], places, strict=True), 1):
            if len(rows):
                logits = vectors.linear(hidden[rows], number, biases[number])
                total = total + F.cross_entropy(logits, targets[rows] - start, reduction="sum")
                in_head = in_head.index_fill(0, rows, first + number - 1)
            start += size
        return total + F.cross_entropy(self._head(hidden, vectors.clusters[0]), in_head, reduction="sum")

    def log_probabilities(self, hidden: Tensor, vectors: Tensor) -> Tensor:
        """The logarithm of every word's probability, ... × vocabulary; they sum to one over the words.

        vectors: vocabulary × width.
        """
        weights, biases = vectors.split(self.sizes), self.bias.split(self.sizes)
        head = F.log_softmax(self._head(hidden, weights[0]), -1)
        first, entries = head.split([self.sizes[0], len(self.sizes) - 1], -1)
        rest = [
            entry.unsqueeze(-1) + F.log_softmax(F.linear(hidden, weight, bias), -1)
            for entry, weight, bias in zip(entries.unbind(-1), weights[1:], biases[1:], strict=True)
        ]
        return torch.cat([first, *rest], dim=-1)

    def _head(self, hidden: Tensor, weight: Tensor) -> Tensor:
        """Logits of the first cluster's words, whose vectors are `weight`, and of the other clusters' entries."""
        bias = self.bias[: self.sizes[0]]
        if self.cluster_vectors is not None and self.cluster_bias is not None:
            weight, bias = torch.cat([weight, self.cluster_vectors]), torch.cat([bias, self.cluster_bias])
        return F.linear(hidden, weight, bias)
