"""A cell of a leaderboard."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What an optimizer came to on a problem.

    status: complete (every planned seed has a record, and one at least did not diverge), diverged (all of them did),
    incomplete, or missing. mean, std (ddof = 1), min, max: over the n seeds that did not diverge. delta: mean less the
    baseline's; None where seeds diverged, as such means do not compare. delta_lo, delta_hi, p: its 95 % interval and
    Welch's test, between complete cells with two seeds at least and some spread. p_holm: p adjusted for all comparisons
    with the baseline on the board. rank: among cells with all records; ties share the mean of their ranks; cells with
    diverged seeds come after all others. tied: not shown to differ from the best of the column. settings_tried: how
    many had tuning runs. runs, seeds, values: one a record that can be used, None for a value that diverged.
    faults: why other records, or the plan of the cell, cannot be used; they are among its notes.
    """

    status: Literal["complete", "incomplete", "missing", "diverged"]
    mean: float | None = None
    std: float | None = None
    n: int = 0
    n_planned: int = 0
    n_diverged: int = 0
    n_failed: int = 0
    min: float | None = None
    max: float | None = None
    delta: float | None = None
    delta_lo: float | None = None
    delta_hi: float | None = None
    p: float | None = None
    p_holm: float | None = None
    rank: float | None = None
    best: bool = False
    tied: bool = False
    setting: str | None = None
    hyperparameters: dict[str, Any] = {}
    settings_tried: int = 0
    edges: list[str] = []
    runs: list[str] = []
    seeds: list[int] = []
    values: list[float | None] = []
    notes: list[str] = []
    faults: list[str] = []

    @property
    def finite(self) -> list[float]:
        """The values of the seeds that did not diverge."""
        return [value for value in self.values if value is not None]

    @property
    def comparable(self) -> bool:
        """Whether its mean may be compared with others: there is one, and it is over no mere survivors."""
        return self.mean is not None and not self.n_diverged
