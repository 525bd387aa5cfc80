"""Curves over training as they are drawn: which one, what its seeds span, what is shown, and how few points do."""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from optathlon.results.plan import Column
from optathlon.results.record import Record
from optathlon.results.scores import usable

POINTS = 28
AREA_POINTS = 14
_FAR = 4.0


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """A curve over seeds."""

    times: list[float]
    middle: list[float]
    """The mean at each of the times."""
    low: list[float]
    """The smallest value there."""
    high: list[float]
    """The largest value there."""
    seeds: int
    """How many runs it is of."""
    whole: bool = True
    """Whether it reaches the end. Where a run diverged it ends with that run, earlier than others or not."""


def shown_curve(column: Column, records: Iterable[Record]) -> str | None:
    """The curve to draw for `column`: the headline's if it is measured during training, else its validation twin,
    else what selects, else any validation score, else a training loss; None if no run has any."""
    recorded = {name for record in records for name in record.curve.points}
    split, _, metric = column.metric.partition("/")
    preferred = [column.metric, f"validation/{metric}", column.selection, f"train/{metric}"]
    others = sorted(n for n in recorded if n.startswith(("validation/", f"{split}/")))
    losses = sorted(n for n in recorded if n.startswith("train/"))
    return next((name for name in [*preferred, *others, *losses] if name in recorded), None)


def direction_of(name: str, column: Column, records: Sequence[Record]) -> bool | None:
    """Whether higher values of the curve `name` are better; None of one that no score goes by, as a norm."""
    metric = name.rpartition("/")[2]
    scores = {s.name.rpartition("/")[2] for record in records for s in record.scores}
    known = scores | {full.rpartition("/")[2] for full in (column.metric, column.selection) if full} | {"loss"}
    return higher_is_better(name, column, records) if metric in known else None


def higher_is_better(name: str, column: Column, records: Iterable[Record]) -> bool:
    """The direction of the curve `name`: the column's if it is of its metric, else as the records' scores say."""
    metric = name.rpartition("/")[2]
    for known, higher in (
        (column.metric, column.higher_is_better),
        (column.selection, column.selection_higher_is_better),
    ):
        if known and known.rpartition("/")[2] == metric:
            return bool(higher)
    return any(s.higher_is_better for r in records for s in r.scores if s.name.rpartition("/")[2] == metric)


def values(record: Record, name: str) -> dict[float, float]:
    """The points of a curve by time, up to its first value that is not `usable`."""
    points: dict[float, float] = {}
    for time, value in record.curve.points.get(name, ()):
        if value is None or not (math.isfinite(time) and usable(value)):
            break
        points[time] = value
    return points


def band(curves: Sequence[Mapping[float, float]]) -> Band | None:
    """The band over `curves`, at the times that all of them have: a mean over survivors is no curve of all."""
    if not curves:
        return None
    common = sorted(set(curves[0]).intersection(*curves[1:]))
    if not common:
        return None
    values_at = [[curve[time] for curve in curves] for time in common]
    return Band(
        times=common,
        middle=[math.fsum(each) / len(each) for each in values_at],
        low=[min(each) for each in values_at],
        high=[max(each) for each in values_at],
        seeds=len(curves),
        whole=common[-1] == max(max(curve, default=0.0) for curve in curves),
    )


def difference(curves: Mapping[int, Mapping[float, float]], base: Mapping[int, Mapping[float, float]]) -> Band | None:
    """The band of `curves` less `base`, both by seed: seed by seed over the common ones, which start from one network.

    Without a common seed it is the curves less the mean of `base`.
    """
    seeds = sorted(curves.keys() & base.keys())
    if seeds:
        pairs = [(curves[seed], base[seed]) for seed in seeds]
        return band([{t: a[t] - b[t] for t in a.keys() & b.keys()} for a, b in pairs])
    middle = band(list(base.values()))
    if not middle:
        return None
    known = dict(zip(middle.times, middle.middle, strict=True))
    return band([{t: curve[t] - known[t] for t in curve.keys() & known.keys()} for curve in curves.values()])


def window(bands: Sequence[Band]) -> tuple[float, float] | None:
    """The range of values to show: what the bands span in the last third of training.

    Bands that end further from the median end than four times the median distance, or the median width of a band, are
    left out and will be cut off: one bad curve would press all others into a line.
    """
    if not bands:
        return None
    ends = [band.middle[-1] for band in bands]
    center = statistics.median(ends)
    width = statistics.median(band.high[-1] - band.low[-1] for band in bands)
    near = _FAR * max(width, statistics.median(abs(end - center) for end in ends))
    kept = [b for b, end in zip(bands, ends, strict=True) if not near or abs(end - center) <= near]
    late = 2 * max(band.times[-1] for band in bands) / 3
    spans = [(band, bisect.bisect_left(band.times, min(late, band.times[-1]))) for band in kept]
    low = min(min(band.low[first:]) for band, first in spans)
    high = max(max(band.high[first:]) for band, first in spans)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def start(bands: Sequence[Band], shown: tuple[float, float]) -> float:
    """The time from which to show `bands`: shortly before the first of them comes into the range `shown`, or 0."""
    last = max(band.times[-1] for band in bands)
    entries = (
        next((t for t, v in zip(band.times, band.middle, strict=True) if shown[0] <= v <= shown[1]), last)
        for band in bands
    )
    first = min(entries)
    return max(0.0, first - 0.04 * (last - first)) if 0.1 * last < first < last else 0.0


def since(band: Band, time: float) -> Band:
    """`band` from the last point before `time` on."""
    at = max(0, min(bisect.bisect_right(band.times, time), len(band.times)) - 1)
    return msgspec.structs.replace(
        band, times=band.times[at:], middle=band.middle[at:], low=band.low[at:], high=band.high[at:]
    )


def thinned(band: Band, points: int = POINTS) -> Band:
    """`band` at no more than `points` of its own times, chosen by largest triangles (Steinarsson 2013, section 4.2).

    low and high are the extremes from the point before to the point after: lines through them leave out no value.
    """
    chosen = largest_triangles(band.times, band.middle, points)
    spans = list(zip([0, *chosen[:-1]], [*chosen[1:], len(band.times) - 1], strict=True))
    if len(chosen) == len(band.times):
        return band
    return msgspec.structs.replace(
        band,
        times=[band.times[i] for i in chosen],
        middle=[band.middle[i] for i in chosen],
        low=[min(band.low[first : last + 1]) for first, last in spans],
        high=[max(band.high[first : last + 1]) for first, last in spans],
    )


def largest_triangles(xs: Sequence[float], ys: Sequence[float], points: int) -> list[int]:
    """Indices of at most `points` >= 3 points: the ends, and of each equal bucket between them the one that spans the
    largest triangle with the point kept before and the mean of the next bucket."""
    count = len(xs)
    if count <= points:
        return list(range(count))
    edges = [1 + round(i * (count - 2) / (points - 2)) for i in range(points - 1)]
    chosen = [0]
    for bucket in range(points - 2):
        inside = range(edges[bucket], edges[bucket + 1])
        beyond = range(edges[bucket + 1], edges[bucket + 2]) if bucket + 2 < len(edges) else [count - 1]
        x = math.fsum(xs[i] for i in beyond) / len(beyond)
        y = math.fsum(ys[i] for i in beyond) / len(beyond)
        chosen.append(max(inside, key=_area(xs, ys, chosen[-1], x, y)))
    return [*chosen, count - 1]


def _area(xs: Sequence[float], ys: Sequence[float], before: int, x: float, y: float) -> Callable[[int], float]:
    return lambda i: abs((xs[before] - x) * (ys[i] - ys[before]) - (xs[before] - xs[i]) * (y - ys[before]))
