"""Ours beside theirs: every published number, what our runs came to, and whether that reproduces it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from results.board import Leaderboard
from results.cell import Cell
from results.papers import Published
from results.record import Plan, Record
from results.scores import deviation, mean, usable
from results.settings import flat
from results.statistics.difference import Difference, from_error
from results.statistics.ties import ALPHA
from results.statistics.welch import from_summaries

Verdict = Literal["reproduced", "within noise", "not reproduced", "protocol differs", "not run"]
_UNTESTED = "neither side has a deviation: nothing can be said"
VERDICTS: tuple[Verdict, ...] = ("reproduced", "within noise", "not reproduced", "protocol differs", "not run")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One published number beside one row of a board.

    difference: ours less theirs. z: that in standard errors. verdict: "not run" until all our seeds are done, or if
    neither side has a deviation; "protocol differs" where ours is another problem or setting than the paper's; "not
    reproduced" if a seed diverged; "reproduced" if |difference| is at most one deviation of theirs (of ours, where they
    give none); else "not reproduced" if p < 0.05 by Welch's test of the two summaries, else "within noise".
    """

    published: Published
    verdict: Verdict
    sweep: str = ""
    row: str = ""
    mean: float | None = None
    std: float | None = None
    n: int = 0
    difference: float | None = None
    z: float | None = None
    p: float | None = None
    notes: list[str] = []


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger looks at. deviations: by digest of a problem, how its protocol differs from the paper's."""

    plan: Plan
    board: Leaderboard
    records: Mapping[str, Record]
    deviations: Mapping[str, Sequence[str]] = {}


def ledger(published: Iterable[Published], sweeps: Sequence[Sweep]) -> list[Entry]:
    """An entry for each published number and each row that has its task, optimizer and setting; one where none has."""
    entries = []
    for number in published:
        found = [entry for sweep in sweeps for entry in _entries(number, sweep)]
        run = [entry for entry in found if entry.verdict != "not run"]
        entries += run or found[:1] or [Entry(published=number, verdict="not run")]
    return entries


def _entries(number: Published, sweep: Sweep) -> Iterator[Entry]:
    for row in sweep.board.rows:
        for column, cell in zip(sweep.board.columns, row.cells, strict=True):
            problem = sweep.plan.head.problems[column.problem]
            setting = sweep.plan.head.settings.get(cell.setting or "", {})
            same = (problem.get("task", column.name), row.optimizer) == (number.task, number.optimizer)
            if same and (cell.setting is None or _agrees(number, setting)):
                deviations = sweep.deviations.get(column.problem, ())
                differs = [*_other_data(problem), *deviations, *_own_protocol(number, setting)]
                yield _entry(number, sweep, row.name, cell, differs)


def _agrees(number: Published, setting: Mapping[str, Any]) -> bool:
    """Whether the hyperparameters that the paper's number is told apart by are ours."""
    ours = flat(setting.get("hyperparameters", {})) | flat(setting.get("protocol", {}), "protocol.")
    missing = object()
    return all(_same(ours.get(key, missing), value) for key, value in number.setting.items())


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return math.isclose(ours, theirs, rel_tol=1e-9)
    return ours == theirs


def _other_data(problem: Mapping[str, Any]) -> list[str]:
    scale = problem.get("scale", "paper")
    editions = {d: edition for d, edition in problem.get("data", {}).items() if edition != "official"}
    return [*([f"scale {scale}"] if scale != "paper" else []), *(f"data {d} {e}" for d, e in editions.items())]


def _own_protocol(number: Published, setting: Mapping[str, Any]) -> list[str]:
    changed = flat(setting.get("protocol", {}), "protocol.")
    return [f"{key}={value}" for key, value in changed.items() if key not in number.setting]


def _entry(number: Published, sweep: Sweep, row: str, cell: Cell, differs: list[str]) -> Entry:
    start = Entry(published=number, verdict="not run", sweep=sweep.plan.head.name, row=row)
    if cell.status in ("missing", "incomplete"):
        return msgspec.structs.replace(start, notes=cell.notes)
    values = [_score(sweep.records[run], number) for run in cell.runs]
    if words := sorted({v for v in values if isinstance(v, str)}):
        return msgspec.structs.replace(start, notes=words)
    finite = [v for v in values if isinstance(v, float)]
    lost = [f"{len(values) - len(finite)} of {len(values)} seeds diverged"] if len(finite) < len(values) else []
    ours, spread = mean(finite), deviation(finite)
    found = None if ours is None else _compared(ours, spread, len(finite), number)
    verdict = (
        "protocol differs"
        if differs
        else "not reproduced"
        if lost or not found
        else _verdict(found, number.std or spread)
    )
    return msgspec.structs.replace(
        start,
        verdict=verdict,
        mean=ours,
        std=spread,
        n=len(finite),
        difference=found and found.delta,
        z=found.delta / found.error if found and found.error else None,
        p=found and found.p,
        notes=[*differs, *lost, *([_UNTESTED] if verdict == "not run" else [])],
    )


def _score(record: Record, number: Published) -> float | str | None:
    """Our score of the paper's metric; None if the run diverged, words if it was not measured so."""
    score = next((s for s in record.scores if s.name == f"test/{number.metric}"), None)
    if record.status == "diverged":
        return None
    if score is None:
        return f"our runs have no score test/{number.metric}"
    if score.unit != number.unit:
        return f"ours is in {score.unit!r}, the paper's in {number.unit!r}"
    return score.value if usable(score.value) else None


def _compared(ours: float, spread: float | None, n: int, number: Published) -> Difference:
    """Ours less theirs. A missing deviation is taken to be the other's, a missing count of theirs to be 1."""
    delta = ours - number.mean
    if spread and number.std and number.n and number.n > 1:
        return from_summaries(delta, spread, n, number.std, number.n, 1 - ALPHA)
    std, df = (spread, n - 1) if spread else (number.std, (number.n or 1) - 1)
    if not std or df < 1:
        return Difference(delta=delta)
    return from_error(delta, std * math.sqrt(1 / n + 1 / (number.n or 1)), df, 1 - ALPHA)


def _verdict(found: Difference, near: float | None) -> Verdict:
    if found.p is None or near is None:
        return "not run"
    if abs(found.delta) <= near:
        return "reproduced"
    return "not reproduced" if found.p < ALPHA else "within noise"
