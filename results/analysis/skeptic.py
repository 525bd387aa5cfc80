"""A claimed best tried again: fresh seeds for it and its runner-up, and what is left of the lead.

The best of a board was picked for its mean, so that part of its lead is luck; runs that nobody could choose among tell
how much. Seeds are drawn from a hash of the plan: whoever tries again gets the same ones.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Collection, Sequence
from typing import Literal

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.marks import row_differences
from optathlon.results.board.model import Leaderboard
from optathlon.results.plan import Column, Plan, PlannedRun
from optathlon.results.record import Identity
from optathlon.results.statistics.difference import Difference

SUFFIX = "-skeptic"
_BITS = 31


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a board claims of one task: a best, and by how much it is ahead of the next."""

    column: Column
    best: str
    second: str
    """Rows of the plan."""
    settings: tuple[str, str]
    """Digests of theirs."""
    seeds: int
    """How many seeds the claim stands on."""
    lead: float
    """Of the means, in the score's unit, better is positive."""
    expected: float | None
    """Of the shrunken means: what is left of it once the luck of having been picked is taken away; None of fewer than
    four rows."""


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """A claim on fresh seeds."""

    claim: Claim
    seeds: int
    """How many fresh seeds both rows have."""
    lead: float | None
    """On fresh seeds; None before all of them are done, or where one diverged."""
    interval: Difference | None
    """The lead with its 95 % interval, by the noise of all that was tried again; None of one seed, or no spread."""
    verdict: Literal["holds", "not shown", "reversed", "diverged", "not done"]
    """holds: the interval lies above 0; reversed: below; not shown: it holds 0, or there is none."""

    @property
    def share_left(self) -> float | None:
        """The share of the claimed lead that is left."""
        return None if self.lead is None or not self.claim.lead else self.lead / self.claim.lead


def claims(board: Leaderboard, tasks: Collection[str] | None = None) -> tuple[list[Claim], dict[str, str]]:
    """The claim of each column of a plan's board (or of `tasks`, by name), and why others make none, by their name."""
    made: list[Claim] = []
    left_out: dict[str, str] = {}
    for number, column in enumerate(board.columns):
        if tasks is not None and column.name not in tasks:
            continue
        sign = 1.0 if column.higher_is_better else -1.0
        cells = {row.name: row.cells[number] for row in board.rows}
        whole = [name for name, cell in cells.items() if cell.status == "complete" and cell.comparable]
        ranked = sorted(whole, key=lambda name: -sign * (cells[name].mean or 0.0))
        if len(ranked) < 2:
            left_out[column.name] = "fewer than two rows have all their seeds, none of which diverged"
        # Also where all seeds happened to choose one setting: a fresh seed might choose another.
        elif any(cells[name].chosen or cells[name].setting is None for name in ranked[:2]):
            left_out[column.name] = "each seed chooses its own setting: a fresh seed would have to be tuned first"
        else:
            made.append(_claim(column, ranked[0], ranked[1], cells[ranked[0]], cells[ranked[1]], sign))
    return made, left_out


def _claim(column: Column, best: str, second: str, first_cell: Cell, next_cell: Cell, sign: float) -> Claim:
    shrunken = (first_cell.mean_shrunk, next_cell.mean_shrunk)
    # Fewer than four means are not shrunken: what is left of their lead is then not known, and not all of it.
    known = None not in shrunken and shrunken != (first_cell.mean, next_cell.mean)
    return Claim(
        column=column,
        best=best,
        second=second,
        settings=(first_cell.setting or "", next_cell.setting or ""),
        seeds=min(first_cell.n, next_cell.n),
        lead=sign * ((first_cell.mean or 0.0) - (next_cell.mean or 0.0)),
        expected=sign * ((shrunken[0] or 0.0) - (shrunken[1] or 0.0)) if known else None,
    )


def fresh_seeds(plan: Plan, count: int) -> list[int]:
    """`count` seeds that are a function of the plan's digest, and none of its own; fewer are the first of more."""
    used = {run.seed for run in plan.runs}
    seeds: list[int] = []
    number = 0
    while len(seeds) < count:
        drawn = hashlib.sha256(f"{plan.head.digest}/skeptic/{number}".encode()).digest()
        seed = int.from_bytes(drawn[:8], "big") >> (64 - _BITS)
        if seed not in used:
            used.add(seed)
            seeds.append(seed)
        number += 1
    return seeds


def challenge(
    plan: Plan,
    tried: Sequence[Claim],
    seeds: Sequence[int],
    run_id: Callable[[Identity, int], str],
    digest: Callable[[object], str],
) -> Plan:
    """The plan of `seeds` for both rows of each claim, under the name of `plan` and "-skeptic".

    run_id, digest: how ids of runs and digests of plans are made.
    """
    runs = [
        PlannedRun(
            id=run_id(Identity(problem=claim.column.problem, setting=setting), seed),
            problem=claim.column.problem,
            setting=setting,
            seed=seed,
            role="report",
            row=row,
            column=claim.column.name,
        )
        for claim in tried
        for row, setting in zip((claim.best, claim.second), claim.settings, strict=True)
        for seed in seeds
    ]
    rows, problems, settings = ({getattr(run, part) for run in runs} for part in ("row", "problem", "setting"))
    head = msgspec.structs.replace(
        plan.head,
        name=f"{plan.head.name}{SUFFIX}",
        created="",
        digest="",
        baseline=None,
        columns=[claim.column for claim in tried],
        rows=[row for row in plan.head.rows if row.name in rows],
        problems={key: problem for key, problem in plan.head.problems.items() if key in problems},
        settings={key: setting for key, setting in plan.head.settings.items() if key in settings},
        table=msgspec.UNSET,
        tuning=msgspec.UNSET,
        looks=msgspec.UNSET,
    )
    content = digest({"head": head, "runs": runs})
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Plan(head=msgspec.structs.replace(head, digest=content, created=now), runs=runs)


def retried(tried: Sequence[Claim], board: Leaderboard) -> list[Retried]:
    """What `board`, that of the challenge, says of each claim."""
    return [_retried(claim, board) for claim in tried]


def _retried(claim: Claim, board: Leaderboard) -> Retried:
    rows = [row.name for row in board.rows]
    number = [column.name for column in board.columns].index(claim.column.name)
    first, second = (board.rows[rows.index(name)].cells[number] for name in (claim.best, claim.second))
    if "diverged" in (first.status, second.status) or first.n_diverged or second.n_diverged:
        return Retried(claim=claim, seeds=min(first.n, second.n), lead=None, interval=None, verdict="diverged")
    if not first.status == second.status == "complete":
        return Retried(claim=claim, seeds=min(first.n, second.n), lead=None, interval=None, verdict="not done")
    sign = 1.0 if claim.column.higher_is_better else -1.0
    grid = [list(row.cells) for row in board.rows]
    [leads] = row_differences(board.columns, grid, [rows.index(claim.best)], rows.index(claim.second))
    difference = leads.differences[number]
    interval = difference and _turned(difference, sign)
    return Retried(
        claim=claim,
        seeds=min(first.n, second.n),
        lead=sign * ((first.mean or 0.0) - (second.mean or 0.0)),
        interval=interval,
        verdict=_verdict(interval),
    )


def _turned(difference: Difference, sign: float) -> Difference:
    """`difference` with better as positive."""
    ends = [sign * end for end in (difference.low, difference.high) if end is not None]
    low, high = (min(ends), max(ends)) if ends else (None, None)
    return msgspec.structs.replace(difference, delta=sign * difference.delta, low=low, high=high)


def _verdict(interval: Difference | None) -> Literal["holds", "not shown", "reversed"]:
    if interval is None or interval.low is None or interval.high is None:
        return "not shown"
    return "holds" if interval.low > 0 else "reversed" if interval.high < 0 else "not shown"
