"""Where labels beside the ends of lines stand, so that none covers another."""

from __future__ import annotations

from collections.abc import Sequence


def spread(places: Sequence[float], gap: float, length: float) -> list[float]:
    """`places` moved as little as keeps neighbors `gap` apart, in their order and, if they fit, within 0 to `length`.

    Those that crowd become a block around the mean of where they want to be (pool adjacent violators).
    """
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    blocks: list[tuple[float, int]] = []
    for position, i in enumerate(order):
        block = (places[i] - position * gap, 1)
        while blocks and blocks[-1][0] >= block[0]:
            (start, members), (other, more) = blocks.pop(), block
            block = ((start * members + other * more) / (members + more), members + more)
        blocks.append(block)
    starts = [start for start, members in blocks for _ in range(members)]
    latest = max(0.0, length - gap * (len(places) - 1))
    spread_out = [0.0] * len(places)
    for position, i in enumerate(order):
        spread_out[i] = min(max(starts[position], 0.0), latest) + position * gap
    return spread_out
