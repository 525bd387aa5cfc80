"""How well a language model predicts a text."""

from __future__ import annotations

import math


def perplexity(nats: float) -> float:
    """The perplexity of a mean cross-entropy in nats: its exp, infinite where that is beyond the largest float."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf
