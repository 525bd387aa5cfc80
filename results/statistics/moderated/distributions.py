"""Tails of Student's t, Fisher's F and the studentized range on arrays.

In NumPy alone: importing scipy.special takes more time and memory than all the arithmetic of a board.
"""

from __future__ import annotations

import functools
import math

import numpy as np

_TINY = 1e-300
_STEP, _REACH = 1 / 64, 9.0
_NODES = 96


def log_gamma(x: np.ndarray) -> np.ndarray:
    """The logarithm of Γ at `x` > 0, by Stirling's series at x + 8 (Abramowitz & Stegun 6.1.41)."""
    product = np.ones_like(x)
    for i in range(8):
        product = product * (x + i)
    y = x + 8
    series = 1 / (12 * y) - 1 / (360 * y**3) + 1 / (1260 * y**5) - 1 / (1680 * y**7) + 1 / (1188 * y**9)
    return (y - 0.5) * np.log(y) - y + 0.5 * math.log(2 * math.pi) + series - np.log(product)


def two_sided_p(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    """P(|T| >= |t|) of Student's t with `df` > 0 degrees of freedom; NaN where t is."""
    # Beyond this the square overflows, and p is 0 at any df of interest.
    square = np.minimum(np.abs(t), 1e150) ** 2
    return incomplete_beta(df / 2, np.full_like(df, 0.5), df / (df + square), square / (df + square))


def student_density(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    constant = log_gamma((df + 1) / 2) - log_gamma(df / 2) - 0.5 * np.log(df * math.pi)
    return np.exp(constant - (df + 1) / 2 * np.log1p(t * t / df))


def fisher_tail(ratio: np.ndarray, df: np.ndarray, df0: float) -> np.ndarray:
    """P(F >= ratio) of a variance ratio with `df` and `df0` degrees of freedom."""
    whole = df0 + df * ratio
    return incomplete_beta(np.full_like(whole, df0 / 2), df / 2 + 0 * whole, df0 / whole, df * ratio / whole)


def incomplete_beta(a: np.ndarray, b: np.ndarray, x: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """I_x(a, b), with `rest` = 1 - x given apart so that neither end loses digits."""
    # The continued fraction converges fast on one side of the mean; the other is its mirror.
    turned = x > (a + 1) / (a + b + 2)
    a, b = np.where(turned, b, a), np.where(turned, a, b)
    x, rest = np.where(turned, rest, x), np.where(turned, x, rest)
    with np.errstate(divide="ignore"):
        front = np.exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * np.log(x) + b * np.log(rest))
    value = front * _fraction(a, b, x) / a
    return np.where(turned, 1 - value, value)


def _fraction(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The continued fraction of the incomplete beta function (Abramowitz & Stegun 26.5.8), by Lentz's method."""
    c, d = np.ones_like(x), 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value = value * (c * d)
        if not np.any(np.abs(c * d - 1) > 1e-14):
            break
    return value


def _away_from_zero(value: np.ndarray) -> np.ndarray:
    return np.where(np.abs(value) > _TINY, value, _TINY)


def range_tail(q: np.ndarray, count: int, df: np.ndarray) -> np.ndarray:
    """P(the studentized range of `count` means exceeds q), at `df` >= 1 degrees of freedom; to about five digits.

    The chance at a known deviation (`_normal_range`) is averaged over the distribution of the estimated one.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    spread = 1 / np.sqrt(2 * df)[..., None]
    low, high = np.maximum(0.0, 1 - 7 * spread), 1 + 7 * spread
    s, half = low + (high - low) * (nodes + 1) / 2, df[..., None] / 2
    density = np.exp(math.log(2) + half * np.log(half) - log_gamma(half) + (2 * half - 1) * np.log(s) - half * s * s)
    grid, chances = _normal_range(count)
    within = np.interp(q[..., None] * s, grid, chances)
    return np.clip(1 - (within * density * weights * (high - low) / 2).sum(-1), 0, 1)


@functools.cache
def _normal_range(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A grid of q, and the chance that the range of `count` standard normals is at most q.

    k ∫ φ(z) [Φ(z + q) - Φ(z)]^(k - 1) dz: z is the smallest of them. Grids of one step, so that sums stay on it.
    """
    z = np.arange(-_REACH, 2 * _REACH + _STEP, _STEP)
    normal = np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in z])
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    steps = int(_REACH / _STEP)
    start = np.arange(2 * steps)
    at = np.arange(steps + 1)
    within = np.maximum(normal[start + at[:, None]] - normal[start], 0.0) ** (count - 1)
    return at * _STEP, np.minimum(1.0, count * _STEP * (within * density[start]).sum(-1))
