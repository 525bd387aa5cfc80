"""Fisher's F."""

from __future__ import annotations

import math

from optathlon.results.statistics.tails.incomplete_beta import incomplete_beta


def two_sided_p(ratio: float, df_above: int, df_below: int) -> float:
    """Twice the smaller of P(F >= ratio) and P(F <= ratio), at most 1; the degrees of freedom as the variances stand.

    By the regularized incomplete beta function (Abramowitz & Stegun 26.6.2).
    """
    if math.isinf(ratio):
        return 0.0
    whole = df_below + df_above * ratio
    share, rest = df_above * ratio / whole, df_below / whole
    return min(
        1.0,
        2 * incomplete_beta(df_below / 2, df_above / 2, rest, share),
        2 * incomplete_beta(df_above / 2, df_below / 2, share, rest),
    )
