"""A cell of a leaderboard."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class PaperNumber(msgspec.Struct, frozen=True, kw_only=True):
    """What a paper prints in a cell."""

    mean: float
    std: float | None = None
    note: str = ""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What an optimizer came to on a problem. Mean, deviation and counts never depend on other cells."""

    status: Literal["complete", "incomplete", "missing", "diverged"]
    """complete: every planned seed has a record, and one at least did not diverge; diverged: all of them did."""
    mean: float | None = None
    std: float | None = None
    """Sample deviation (ddof = 1), like mean, min and max over the n seeds that did not diverge."""
    n: int = 0
    n_planned: int = 0
    n_diverged: int = 0
    n_failed: int = 0
    min: float | None = None
    max: float | None = None
    delta: float | None = None
    """Mean less the baseline's; None where seeds diverged, as such means do not compare."""
    delta_lo: float | None = None
    delta_hi: float | None = None
    """The 95 % interval of delta, by the noise of the whole board (docs/statistics.md), like p."""
    p: float | None = None
    """Of no difference to the baseline, between complete cells with two seeds at least and some spread."""
    p_holm: float | None = None
    """p adjusted for all comparisons with the baseline of the whole plan."""
    p_welch: float | None = None
    """Welch's p of the two cells alone: what others report, and no mark stands on."""
    refused: bool = False
    """p is 1, as seeds of the board collapse and the difference is no larger than that makes."""
    untested: str | None = None
    """Why nothing is tested of a complete cell: "one seed", "no spread over seeds"."""
    mean_shrunk: float | None = None
    """The mean drawn towards its column's: the best mean of a column is better than its truth by having been picked."""
    rank: float | None = None
    """Among the cells shown with all records; ties share the mean of their ranks; diverged seeds come after others."""
    best: bool = False
    tied: bool = False
    """Tested, and not shown to be worse than the best of the column; the best is tied with itself."""
    setting: str | None = None
    hyperparameters: dict[str, Any] = {}
    settings_tried: int = 0
    """How many settings had tuning runs."""
    chosen: dict[str, int] = {}
    """How many report seeds each chosen setting has, most first, where each seed has its own winner. `setting` is then
    None if they differ, and `hyperparameters` what they have in common."""
    tuning_std: float | None = None
    """The deviation of what would be chosen, over tunings repeated with other seeds: of the selection score, which no
    report seed shows; where each seed has its own winner, the part of the scores' own spread that is the choice's."""
    decided_at: int | None = None
    """Seeds of the look at which it was shown to differ from the baseline, in a sweep with looks."""
    edges: list[str] = []
    runs: list[str] = []
    seeds: list[int] = []
    values: list[float | None] = []
    """One a record that can be used, like runs and seeds; None for a value that diverged."""
    notes: list[str] = []
    faults: list[str] = []
    """Why other records, or the plan of the cell, cannot be used; they are among the notes."""
    published: list[PaperNumber] = []
    """What the table that the board is laid out as has here; two where it prints its own and another's."""

    @property
    def finite(self) -> list[float]:
        """The values of the seeds that did not diverge."""
        return [value for value in self.values if value is not None]

    @property
    def comparable(self) -> bool:
        """Whether its mean may be compared with others: there is one, and it is over no mere survivors."""
        return self.mean is not None and not self.n_diverged
