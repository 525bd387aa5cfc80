"""The page's words and numbers: what may be said of a cell, and what it would take to say more."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from optathlon.results.analysis.seeds_needed import Need
from optathlon.results.board.cell import Cell
from optathlon.results.board.model import Leaderboard
from optathlon.results.plan import Column
from optathlon.results.statistics.planner import POWER
from optathlon.results.text.wording import number

Kind = Literal["baseline", "better", "worse", "tied", "untested", "open"]
CHANCE = f"{100 * POWER:.0f}\u00a0% power, if the true difference is the one seen"
_LARGE = 1e7


class BaselineVerdict(msgspec.Struct, frozen=True):
    """What is shown of a cell against the baseline's."""

    kind: Kind
    """ "open" where runs are missing or diverged, so that nothing is compared."""
    words: str


def figure(value: float | None, digits: int, sign: str = "") -> str:
    """`value` with `digits` decimals and a real minus; very large ones in powers of ten, "–" for None."""
    if value is None or not math.isfinite(value):
        return "–"
    shown = number(value, digits, sign) if abs(value) < _LARGE else f"{value:{sign}.3g}"
    return shown.replace("-", "−")


def probability(p: float | None) -> str:
    """ "p = 0.034", "p < 0.001", with spaces that do not break."""
    if p is None:
        return ""
    if p < 0.001:
        return "p\u00a0<\u00a00.001"
    return f"p\u00a0=\u00a0{p:.{2 if p >= 0.0995 else 3}f}"


def plus_minus(spread: float | None, digits: int) -> str:
    """ " ± 0.38", which does not break; empty without a deviation."""
    return "" if spread is None else f" ±\u00a0{figure(spread, digits)}"


def verdict(board: Leaderboard, column: Column, row: str, cell: Cell) -> BaselineVerdict:
    """What is shown of `cell` against the baseline, by p_holm and the column's direction."""
    if gap := _gap(cell):
        return BaselineVerdict("open", gap)
    if board.baseline is None:
        return BaselineVerdict("untested", "")
    if row == board.baseline:
        return BaselineVerdict("baseline", "baseline")
    if cell.delta is None:
        return BaselineVerdict("open", f"not compared: {board.baseline} is not complete here")
    if cell.p_holm is None:
        base = board.cell(board.baseline, column.name)
        if base.status != "complete":
            return BaselineVerdict("open", f"not tested: {board.baseline} is not complete here")
        return BaselineVerdict("untested", f"not tested: {cell.untested or 'no spread over seeds'}")
    if cell.refused:
        return BaselineVerdict("untested", "not separable: some seeds collapse, run 5 or more")
    if cell.p_holm >= board.alpha:
        return BaselineVerdict("tied", "not separable")
    return (
        BaselineVerdict("better", "better")
        if (cell.delta > 0) == column.higher_is_better
        else BaselineVerdict("worse", "worse")
    )


def gap_in_short(cell: Cell) -> str:
    """Why `cell` is not compared, in a few words for a narrow column; empty if it may be."""
    if cell.status == "missing":
        return "failed" if cell.n_failed else "not run yet"
    if cell.status == "incomplete":
        return f"{cell.n + cell.n_diverged} of {cell.n_planned} seeds"
    return f"{cell.n_diverged} of {cell.n_planned} diverged" if cell.n_diverged and cell.n else ""


def _gap(cell: Cell) -> str:
    """Why `cell` is not compared with anything; empty if it may be."""
    done, lost = cell.n + cell.n_diverged, f"{cell.n_diverged} of {cell.n_planned} seeds diverged"
    if cell.status == "diverged":
        return "diverged" if cell.n_planned == 1 else f"all {cell.n_planned} seeds diverged"
    if cell.status == "complete":
        return f"{lost}: not compared" if cell.n_diverged else ""
    failed = f", {cell.n_failed} failed" if cell.n_failed else ""
    if cell.status == "missing":
        return f"failed: {cell.n_failed} of {cell.n_planned} seeds" if cell.n_failed else "not run yet"
    diverged = f", {cell.n_diverged} diverged" if cell.n_diverged else ""
    return f"{done} of {cell.n_planned} seeds done{diverged}{failed}: not tested"


def to_decide(need: Need | None) -> str:
    """What the planner says of a comparison that is not decided; empty if it is, or there is none."""
    if need is None or need.decided:
        return ""
    if need.more is None and need.chance is not None:
        return f"decided by {need.last_look} seeds with a chance of {need.chance:.0%}"
    if need.more is None:
        return "1000 more seeds each would not decide" if need.delta and need.deviation else ""
    return f"about {count(need.more, 'more seed')} each to decide"


def count(amount: int, one: str, many: str = "") -> str:
    """ "1 task", "3 tasks"."""
    return f"{amount} {one if amount == 1 else many or one + 's'}"


def listed(words: list[str]) -> str:
    """ "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
