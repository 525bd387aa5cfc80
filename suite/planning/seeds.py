"""The seeds of a sweep: which tune, which report, and at how many of them comparisons are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from optathlon.suite.errors import UsageError, hint

ONCE, PER_SEED = "once", "per seed"
GROWTH = 1.6
"""Each look has about so many times the seeds of the one before: 3, 5, 8, 12."""
SHORTEST_LAST_STEP = 1.25
"""A look is left out if the last one has less than so many times its seeds."""
MOST_SEEDS = 10_000


class Seeds(msgspec.Struct, frozen=True):
    """Seeds that select settings (none: every setting is a row) and seeds that are reported; never the same."""

    tune: tuple[int, ...]
    report: tuple[int, ...]
    looks: tuple[int, ...] = ()
    """Numbers of report seeds at which undecided comparisons are tested; empty: all seeds are run at once."""
    per_seed: bool = False
    """Whether each report seed has tuning seeds, and so a winner, of its own."""

    def tuning(self) -> dict[int, tuple[int, ...]]:
        """Returns the tuning seeds of each report seed, equally many each, in the order of both lists."""
        share = len(self.tune) // len(self.report)
        return {seed: self.tune[i * share : (i + 1) * share] for i, seed in enumerate(self.report)}


def read_seeds(seeds: Any, select: Any) -> Seeds:
    """Reads `seeds` and `select` of a sweep file; UsageError names field, value and what would be right."""
    if select not in (ONCE, PER_SEED):
        raise UsageError(f'select: must be "{ONCE}" or "{PER_SEED}", not {select!r}')
    looks: tuple[int, ...] = ()
    if isinstance(seeds, dict):
        _only(seeds, ("tune", "report"), "seeds.")
        tune, reported = _seed_list("seeds.tune", seeds.get("tune", [])), seeds.get("report", [])
        if isinstance(reported, dict):
            looks = _looks(reported)
            # The smallest numbers that tune nothing: one more look changes no seed of the earlier ones.
            free = (seed for seed in range(looks[-1] + len(tune)) if seed not in tune)
            report = tuple(next(free) for _ in range(looks[-1]))
        else:
            report = _seed_list("seeds.report", reported)
    else:
        tune, report = (), _seed_list("seeds", seeds)
    if not report:
        raise UsageError("seeds: there must be at least one seed to report, seeds = [0, 1, 2]")
    if both := sorted(set(tune) & set(report)):
        raise UsageError(
            f"seeds: {both[0]} both tunes and reports; the two must be disjoint, or the reported mean is biased"
        )
    if select == PER_SEED and (not tune or len(tune) % len(report)):
        raise UsageError(
            f'select: "{PER_SEED}" gives each report seed as many tuning seeds, so that seeds.tune must have a '
            f"multiple of {len(report)} seeds, as seeds.report has, not {len(tune)}"
        )
    return Seeds(tune, report, looks, select == PER_SEED)


def default_looks(first: int, most: int) -> tuple[int, ...]:
    """Returns numbers of seeds from `first` to `most`, each about 1.6 times the one before."""
    looks = [first]
    while (following := max(looks[-1] + 1, round(GROWTH * looks[-1]))) * SHORTEST_LAST_STEP <= most:
        looks.append(following)
    return tuple(looks) if looks[-1] == most else (*looks, most)


def _looks(reported: Mapping[str, Any]) -> tuple[int, ...]:
    _only(reported, ("first", "most", "looks"), "seeds.report.")
    looks = reported.get("looks")
    if looks is not None and (
        not isinstance(looks, list)
        or not looks
        or not all(type(n) is int and 2 <= n <= MOST_SEEDS for n in looks)
        or sorted(set(looks)) != looks
    ):
        raise UsageError(f"seeds.report.looks: must be rising whole numbers from 2 on, [3, 5, 8, 12], not {looks!r}")
    ends = {key: reported.get(key, looks and looks[at]) for key, at in (("first", 0), ("most", -1))}
    for key, value in ends.items():
        if type(value) is not int or not 2 <= value <= MOST_SEEDS:
            given = f"not {value!r}" if key in reported else "it is missing"
            raise UsageError(
                f"seeds.report.{key}: must be a whole number from 2 to {MOST_SEEDS:,}, as one seed shows no spread; "
                f"{given}; seeds.report = {{first = 3, most = 12}}"
            )
    first, most = ends["first"], ends["most"]
    if first > most:
        raise UsageError(f"seeds.report.first: {first} is more than seeds.report.most, {most}")
    if looks is not None and (looks[0], looks[-1]) != (first, most):
        raise UsageError(f"seeds.report.looks: {looks} must begin with first, {first}, and end with most, {most}")
    return tuple(looks) if looks is not None else default_looks(first, most)


def _seed_list(where: str, seeds: Any) -> tuple[int, ...]:
    if not isinstance(seeds, list) or not all(type(s) is int and 0 <= s < 2**63 for s in seeds):
        raise UsageError(f"{where}: must be a list of whole numbers from 0 on, [0, 1, 2], not {seeds!r}")
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"{where}: {next(s for s in seeds if seeds.count(s) > 1)} stands twice")
    return tuple(seeds)


def _only(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(f"{where}{key}: unknown{hint(key, known)}")
