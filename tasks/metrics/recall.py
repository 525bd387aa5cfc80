"""Recall@K, exact, in blocks that stay within a budget of memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

BUDGET = 64 << 20  # bytes
PER_PAIR = 12  # bytes for a similarity, a copy of it and masks
NEVER = torch.iinfo(torch.int64).max


def recall_at(
    ks: Sequence[int],
    queries: Tensor,
    labels: Tensor,
    gallery: tuple[Tensor, Tensor] | None = None,
    budget: int = BUDGET,
) -> dict[int, float]:
    """For each K the percentage of queries with one of their class among the K most similar; exact.

    queries: (n, d), labels: (n,); gallery: (m, d) and (m,), or None if each query looks among all others. Similarities
    are dot products in single precision, of two vectors always the same number; equal ones rank in the gallery's order,
    so that a network which maps everything to one point is as good as chance. A query that no other shares the class
    of is never answered, nor is one whose similarities are not numbers.
    budget: bytes for the similarities held at a time, where those within one class do not need more. Vectors that are
    not in the order of their classes are copied on top of that. Source: Kim et al. 2020 (Proxy-Anchor), utils.py.
    """
    with torch.no_grad(), torch.autocast(queries.device.type, enabled=False):
        ranks = _ranks(queries, labels, gallery, budget)
    return {k: 100.0 * int((ranks < k).sum()) / len(ranks) for k in ks}


def _ranks(queries: Tensor, labels: Tensor, gallery: tuple[Tensor, Tensor] | None, budget: int) -> Tensor:
    """How many of another class come before the first of the same class, for the queries in order of their labels.

    The gallery is cut where classes end, and the queries so that the classes of each block are whole in one block of
    the gallery. What is most similar there is the mark that everything else is compared with.
    """
    others, classes = (queries, labels) if gallery is None else gallery
    place, asked = torch.sort(classes, stable=True)[1], torch.sort(labels, stable=True)[1]
    labels, classes, query_vectors = labels[asked], classes[place], _taken(queries, asked)
    gallery_vectors = query_vectors if gallery is None else _taken(others, place)
    most = max(1, math.isqrt(budget // PER_PAIR))
    columns = _blocks(classes, most)
    ends = torch.searchsorted(labels, torch.stack([classes[part.stop - 1] for part in columns]), right=True).tolist()
    ends[-1] = len(labels)
    step = len(labels) if gallery is None else most
    rows = [
        (slice(begin, min(begin + step, stop)), block)
        for block, (start, stop) in enumerate(zip([0, *ends], ends, strict=False))
        for begin in range(start, stop, step)
    ]
    best = query_vectors.new_empty(len(labels))
    first, ranks = torch.full_like(labels, NEVER), torch.zeros_like(labels)
    for row, block in rows:
        column = columns[block]
        similar, same = query_vectors[row] @ gallery_vectors[column].T, labels[row, None] == classes[column]
        if gallery is None:
            similar.fill_diagonal_(-torch.inf)
            same.fill_diagonal_(False)
        best[row] = similar.masked_fill(~same, -torch.inf).amax(1)
        query, similar_place = (same & (similar == best[row, None])).nonzero(as_tuple=True)
        first[row] = first[row].scatter_reduce(0, query, place[column][similar_place], "amin")
        ranks[row] += _before(similar.masked_fill_(same, -torch.inf), best[row], first[row], place[column])
    for row, block in rows:
        for other, column in enumerate(columns):
            if other == block or (gallery is None and other < block):
                continue
            similar = query_vectors[row] @ gallery_vectors[column].T
            ranks[row] += _before(similar, best[row], first[row], place[column])
            if gallery is None:  # and the other way round
                ranks[column] += _before(similar.T, best[column], first[column], place[row])
    return torch.where(first < NEVER, ranks, NEVER)


def _taken(vectors: Tensor, order: Tensor) -> Tensor:
    """`vectors` in `order` and in single precision; no copy if they are."""
    return vectors.float() if bool((order.diff() > 0).all()) else vectors[order].float()


def _blocks(classes: Tensor, most: int) -> list[slice]:
    """Cuts sorted `classes` where one ends, into blocks of at most `most`, or of one class that is larger."""
    blocks, start, stop = [], 0, 0
    for count in torch.unique_consecutive(classes, return_counts=True)[1].tolist():
        if stop > start and stop + count - start > most:
            blocks.append(slice(start, stop))
            start = stop
        stop += count
    return [*blocks, slice(start, stop)]


def _before(similar: Tensor, best: Tensor, first: Tensor, place: Tensor) -> Tensor:
    """How many in each row are more similar than `best`, or as similar and before `first` in the gallery's order."""
    count = _count(similar > best[:, None])
    equal = similar == best[:, None]
    if equal.any():
        count += _count(equal & (place < first[:, None]))
    return count


def _count(mask: Tensor) -> Tensor:
    """How many are true in each row. On a CPU torch adds booleans 20 times slower than NumPy counts them."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.count_nonzero(mask.numpy(), axis=1))
    return mask.sum(1)
