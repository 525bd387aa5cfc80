"""Ours beside theirs: every published number, what our runs came to, and whether that reproduces it.

An interval of the difference decides (`equivalence`): that a difference is not significant shows nothing."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.curve_scores import CURVE_SPLIT
from optathlon.results.board.model import Leaderboard
from optathlon.results.board.row import BoardRow
from optathlon.results.papers.published import Published, averaged_tasks
from optathlon.results.plan import Column, Plan
from optathlon.results.record import Record, flat
from optathlon.results.scores import usable
from optathlon.results.statistics.difference import Difference, from_error
from optathlon.results.statistics.equivalence import Finding, equivalence
from optathlon.results.statistics.holm import ALPHA
from optathlon.results.statistics.printed_summary import largest_deviation, less_printed
from optathlon.results.statistics.summary import deviation, mean

Verdict = Literal["reproduced", "differs", "could not tell", "protocol differs", "not run"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "differs", "could not tell", "protocol differs", "not run")
MARGIN = 3.0
"""The equivalence margin, in deviations between runs: with three runs on either side the interval of a difference is
about two of them wide to either side, so that a smaller margin would hardly ever be met."""
_FINDINGS: dict[Finding, Verdict] = {
    "equivalent": "reproduced",
    "different": "differs",
    "undecided": "could not tell",
}
_UNTESTED = "neither side has a deviation: nothing can be said"
_UNCOUNTED = "theirs is the only deviation, and of how many runs is not known: nothing can be said"
_Place = tuple[Column, Cell]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One published number beside one row of a board."""

    published: Published
    verdict: Verdict
    """reproduced: the interval of the difference lies within the margin; differs: else, if it leaves out 0, or a seed
    of ours diverged; could not tell: else. protocol differs: ours is of another problem or setting than the paper's,
    and not judged; not run: no row fits, or not all our seeds are done."""
    sweep: str = ""
    row: str = ""
    mean: float | None = None
    std: float | None = None
    """Ours, like mean and n: over the seeds that did not diverge."""
    n: int = 0
    difference: float | None = None
    """Ours less theirs."""
    low: float | None = None
    high: float | None = None
    """The ends of the difference's 95 % interval, by Welch's test of the two summaries, made more careful."""
    z: float | None = None
    """The difference in standard errors."""
    p: float | None = None
    margin: float | None = None
    """Within which the two would be equivalent: three of their deviations, as large as they may be; of ours, where
    they give none."""
    notes: list[str] = []

    @property
    def judged(self) -> bool:
        """Whether its verdict stands on the interval, which misses the truth once in twenty."""
        return self.low is not None and self.verdict in VERDICTS[:3]


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger looks at."""

    plan: Plan
    board: Leaderboard
    records: Mapping[str, Record]
    deviations: Mapping[str, Sequence[str]] = {}
    """By digest of a problem, how its protocol differs from the paper's."""


def ledger(published: Iterable[Published], sweeps: Sequence[Sweep]) -> list[Entry]:
    """One entry per published number and row that has its task, optimizer and setting; one where none has.

    Beside an average over tasks stands ours, taken seed by seed, if the sweep has all of them.
    """
    numbers = list(published)
    entries = []
    for number in numbers:
        averaged = averaged_tasks(number, numbers)
        beside = [entry for sweep in sweeps for entry in _entries(number, averaged, sweep)]
        run = [entry for entry in beside if entry.verdict != "not run"]
        entries += run or beside[:1] or [Entry(published=number, verdict="not run")]
    return entries


def expected_false(entries: Iterable[Entry]) -> float:
    """How many verdicts of a ledger are expected to be false at most: one in twenty of those that an interval decided.

    A sum of chances, so that it holds however the entries depend on each other.
    """
    return ALPHA * sum(entry.judged for entry in entries)


def _entries(number: Published, averaged: Collection[str], sweep: Sweep) -> Iterator[Entry]:
    problems, settings = sweep.plan.head.problems, sweep.plan.head.settings
    for row in sweep.board.rows:
        for places in _places(number, averaged, row, sweep) if row.optimizer == number.optimizer else ():
            differs: dict[str, None] = {}
            for column, cell in places:
                # Where each seed chose for itself, all that was chosen has to be the paper's.
                chosen = [settings[digest] for digest in cell.chosen or filter(None, [cell.setting])]
                if not all(number.fits(setting) for setting in chosen):
                    break
                differs |= dict.fromkeys(_other_data(problems[column.problem]))
                differs |= dict.fromkeys(sweep.deviations.get(column.problem, ()))
                for setting in chosen:
                    differs |= dict.fromkeys(_own_protocol(number, setting))
            else:
                yield _entry(number, sweep, row.name, [cell for _, cell in places], list(differs))


def _places(number: Published, averaged: Collection[str], row: BoardRow, sweep: Sweep) -> list[list[_Place]]:
    """What of `row` stands beside `number`: each cell of its task, or together those of the tasks it averages."""
    of_task: dict[str, list[_Place]] = {}
    for place in zip(sweep.board.columns, row.cells, strict=True):
        task = sweep.plan.head.problems[place[0].problem].get("task", place[0].name)
        of_task.setdefault(task, []).append(place)
    parts = [of_task.get(task, []) for task in averaged]
    together = [[place for (place,) in parts]] if parts and all(len(part) == 1 for part in parts) else []
    return [[place] for place in of_task.get(number.task, [])] + together


def _other_data(problem: Mapping[str, Any]) -> list[str]:
    scale = problem.get("scale", "paper")
    editions = {d: edition for d, edition in problem.get("data", {}).items() if edition != "official"}
    return [*([f"scale {scale}"] if scale != "paper" else []), *(f"data {d} {e}" for d, e in editions.items())]


def _own_protocol(number: Published, setting: Mapping[str, Any]) -> list[str]:
    changed = flat(setting.get("protocol", {}), "protocol.")
    return [f"{key}={value}" for key, value in changed.items() if key not in number.setting]


def _entry(number: Published, sweep: Sweep, row: str, cells: Sequence[Cell], differs: list[str]) -> Entry:
    start = Entry(published=number, verdict="not run", sweep=sweep.plan.head.name, row=row)
    if missing := next((cell for cell in cells if cell.status in ("missing", "incomplete")), None):
        return msgspec.structs.replace(start, notes=missing.notes)
    scores = [_scores(number, sweep, cell) for cell in cells]
    if words := sorted({v for of_seed in scores for v in of_seed.values() if isinstance(v, str)}):
        return msgspec.structs.replace(start, notes=words)
    common = sorted(set(scores[0]).intersection(*scores[1:]))
    values = [_mean([of_seed[seed] for of_seed in scores]) for seed in common]
    finite = [v for v in values if v is not None]
    lost = [f"{len(values) - len(finite)} of {len(values)} seeds diverged"] if len(finite) < len(values) else []
    ours, spread = mean(finite), deviation(finite)
    compared = None if ours is None else _compared(ours, spread, len(finite), number)
    if compared and lost:  # a mean of mere survivors is not tested
        compared = Difference(delta=compared.delta)
    margin = MARGIN * (_theirs(number) or spread or 0.0) or None
    verdict = "protocol differs" if differs else "differs" if lost else _verdict(compared, margin)
    looks = sorted({cell.decided_at for cell in cells if cell.decided_at is not None})
    stopped = [f"seeds ended where the baseline was told apart, at the look of {seeds}" for seeds in looks]
    silent = verdict == "could not tell" and (compared is None or compared.low is None)
    tested = compared or Difference(delta=0.0)
    return msgspec.structs.replace(
        start,
        verdict=verdict,
        mean=ours,
        std=spread,
        n=len(finite),
        difference=compared and compared.delta,
        low=tested.low,
        high=tested.high,
        z=tested.delta / tested.error if tested.error else None,
        p=tested.p,
        margin=margin,
        notes=[*differs, *lost, *stopped, *([_UNCOUNTED if number.std else _UNTESTED] if silent else [])],
    )


def _scores(number: Published, sweep: Sweep, cell: Cell) -> dict[int, float | str | None]:
    """Our scores of the paper's metric by seed."""
    return {seed: _score(sweep.records[run], number) for seed, run in zip(cell.seeds, cell.runs, strict=True)}


def _mean(values: Sequence[float | str | None]) -> float | None:
    """Over the tasks that are averaged; None if one of the runs diverged."""
    finite = [v for v in values if isinstance(v, float)]
    return mean(finite) if len(finite) == len(values) else None


def _score(record: Record, number: Published) -> float | str | None:
    """Our score of the paper's metric; None if the run diverged, words if it was not measured so."""
    names = (f"test/{number.metric}", f"{CURVE_SPLIT}/{number.metric}")
    score = next((s for s in record.scores if s.name in names), None)
    if record.status == "diverged":
        return None
    if score is None:
        return f"our runs have no score test/{number.metric}"
    if score.unit != number.unit:
        return f"ours is in {score.unit!r}, the paper's in {number.unit!r}"
    return float(score.value) if score.value is not None and usable(score.value) else None


def _compared(ours: float, spread: float | None, n: int, number: Published) -> Difference:
    """Ours less theirs. A missing deviation is taken to be the other's, a missing count of theirs to be 1."""
    delta = ours - number.mean
    if spread and number.std and number.n and number.n > 1:
        return less_printed(delta, spread, n, number.std, number.n, 1 - ALPHA)
    std, df = (spread, n - 1) if spread else (_theirs(number), (number.n or 1) - 1)
    if not std or df < 1:
        return Difference(delta=delta)
    return from_error(delta, std * math.sqrt(1 / n + 1 / (number.n or 1)), df, 1 - ALPHA)


def _theirs(number: Published) -> float | None:
    return None if number.std is None else largest_deviation(number.std, number.n)


def _verdict(compared: Difference | None, margin: float | None) -> Verdict:
    if compared is None or margin is None:
        return "could not tell"
    return _FINDINGS[equivalence(compared, margin)]
