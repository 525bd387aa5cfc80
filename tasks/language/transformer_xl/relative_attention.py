"""Attention by content and by distance, over a segment and the memory before it (Dai et al. 2019, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def sinusoids(distances: Tensor, width: int) -> Tensor:
    """The vector of each distance, distances × width: all sines, then all cosines, of 10000^(-2i/width)."""
    rates = 10000.0 ** -(torch.arange(0, width, 2, dtype=distances.dtype, device=distances.device) / width)
    angles = distances.unsqueeze(-1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def attention_mask(steps: int, keys: int, reach: int | None, device: torch.device) -> Tensor:
    """0 where the query at step i may look at key j, else -inf: steps × keys; the last key is that of the last step.

    A query sees itself and what came before, with a `reach` only that many keys in all.
    """
    last = torch.arange(keys - steps, keys, device=device).unsqueeze(1)
    distance = last - torch.arange(keys, device=device)
    allowed = distance >= 0 if reach is None else (distance >= 0) & (distance < reach)
    return torch.zeros(steps, keys, device=device).masked_fill_(~allowed, float("-inf"))


def by_distance(queries: Tensor, positions: Tensor) -> Tensor:
    """Products of each query with the vector of its distance to each key: heads × streams × steps × keys.

    queries: heads × streams × steps × width. positions: heads × keys × width, of distances keys - 1 down to 0. Where a
    key is ahead the value is one of another place, to be masked. With an empty position in front, each row of products
    begins where the next is shifted by one, so that the relative shift (appendix B) is a view and copies nothing.
    """
    (streams, steps), keys = queries.shape[1:3], positions.shape[1]
    products = queries.flatten(1, 2) @ F.pad(positions, (0, 0, 1, 0)).transpose(1, 2)
    return products.unflatten(1, (streams, steps)).flatten(2)[..., steps:].unflatten(2, (steps, keys))


class RelativeAttention(nn.Module):
    """Multi-head attention whose scores are (q + u)·k + (q + v)·r, over √d_head; no layer has a bias of its own."""

    def __init__(self, d_model: int, heads: int, d_head: int, dropatt: float) -> None:
        super().__init__()
        self.heads, self.dropatt = heads, dropatt
        self.qkv = nn.Linear(d_model, 3 * heads * d_head, bias=False)
        self.positions = nn.Linear(d_model, heads * d_head, bias=False)
        self.output = nn.Linear(heads * d_head, d_model, bias=False)

    def forward(self, x: Tensor, memory: Tensor, distances: Tensor, mask: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """x: streams × steps × d_model. memory: streams × m × d_model, what came before. Returns a tensor like x.

        distances: (m + steps) × d_model, vectors of the distances m + steps - 1 down to 0. mask: added to the scores,
        steps × (m + steps). u, v: heads × d_head, the biases of content and of position.
        """
        weight = self.qkv.weight  # the memory needs no queries, and no gradient of its own
        queries, *present = map(self._by_head, F.linear(x, weight).chunk(3, dim=-1))
        past = map(self._by_head, F.linear(memory, weight[self.positions.out_features :]).chunk(2, dim=-1))
        keys, values = (torch.cat(pair, dim=2) for pair in zip(past, present, strict=True))
        positions = self._by_head(self.positions(distances))
        scale = queries.shape[-1] ** -0.5
        shifted = by_distance(queries + v[:, None, None], positions)
        bias = torch.add(mask.to(shifted.dtype), shifted, alpha=scale)
        attended = F.scaled_dot_product_attention(
            queries + u[:, None, None], keys, values, bias, self.dropatt if self.training else 0.0, scale=scale
        )
        return self.output(attended.permute(1, 2, 0, 3).flatten(2))

    def _by_head(self, x: Tensor) -> Tensor:
        """[streams ×] steps × (heads · d_head) to heads × [streams ×] steps × d_head."""
        return x.unflatten(-1, (self.heads, -1)).movedim(-2, 0)
