"""Chi-square with whole degrees of freedom."""

from __future__ import annotations

import math


def chi_square_tail(x: float, df: int) -> float:
    """P(X >= x) of a chi-square with `df` >= 1 degrees of freedom, small ones too to full relative precision.

    A finite sum of positive terms: h^i e^-h / Γ(i + 1), h = x/2, for each i >= 0 that is less than df/2 by a whole
    number, and erfc(√h) if df is odd (Abramowitz & Stegun 26.4.4, 26.4.5).
    """
    if x <= 0:
        return 1.0
    half, odd = x / 2, df % 2
    terms = [math.erfc(math.sqrt(half))] if odd else []
    for i in range(df // 2):
        power = i + odd / 2
        # In logarithms, as e^-half alone is 0 long before the sum is.
        terms.append(math.exp(power * math.log(half) - half - math.lgamma(power + 1)))
    return min(1.0, math.fsum(terms))
