"""Student's t, against SciPy's and in closed form."""

from __future__ import annotations

import math

import pytest
import scipy.stats

from optathlon.results.statistics.tails.student import quantile, two_sided_p


@pytest.mark.parametrize("df", [0.7, 1, 1.5, 2, 3.3, 4, 10, 29.5, 100, 1e4])
@pytest.mark.parametrize("t", [0.0, 1e-8, 0.1, 1.0, 2.5, 12.7, 100.0, 1e6])
def test_the_tail_is_scipys(t, df):
    # SciPy's own error at t = 1e-8 is 3e-9: the exact tail of df = 1 is 1 - 2 arctan(t) / pi.
    assert two_sided_p(t, df) == pytest.approx(2 * scipy.stats.t.sf(t, df), rel=1e-8 if t == 1e-8 else 1e-9, abs=1e-290)
    assert two_sided_p(t, 1) == pytest.approx(1 - 2 * math.atan(t) / math.pi, rel=1e-9, abs=1e-15)
    assert two_sided_p(-t, df) == two_sided_p(t, df)


@pytest.mark.parametrize("df", [1, 1.5, 2, 4, 10.5, 1000])
@pytest.mark.parametrize("level", [0.0, 0.5, 0.9, 0.95, 0.999])
def test_the_quantile_is_scipys(level, df):
    assert quantile(level, df) == pytest.approx(scipy.stats.t.ppf((1 + level) / 2, df), rel=1e-9, abs=1e-12)
