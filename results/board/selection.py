"""Which setting an optimizer is judged by: chosen on validation, with tuning seeds, by a pure function."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from optathlon.results.hyperparameter_text import edges, searched_ranges
from optathlon.results.plan import Column, Plan, PlannedRun
from optathlon.results.record import Record, hyperparameters
from optathlon.results.scores import Unusable, by_id, value
from optathlon.results.statistics.summary import mean
from optathlon.results.store.index.record_index import LightRecords

Cell = tuple[str, str]

Outcome = tuple[float | None, int]
"""The selection score of a tuning run, None if it diverged, and its updates."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A setting with all its tuning seeds: the mean of the selection score over those that did not diverge."""

    setting: str
    mean: float | None
    n_diverged: int
    updates: int
    scores: list[float | None] = []
    """One per tuning seed, None where it diverged."""


class Winner(msgspec.Struct, frozen=True, kw_only=True):
    """What is chosen in one cell."""

    setting: str | None
    """None before every setting has its tuning runs, and where none can be chosen."""
    mean: float | None
    complete: bool
    """Every setting has its tuning seeds, or failed."""
    candidates: list[Candidate]
    """Best first."""
    failed: list[str]
    """Settings left out because a tuning run failed for good."""
    unusable: dict[str, str] = {}
    """Settings left out because a tuning run's record cannot be used, with why."""
    planned: int
    """How many settings there are in all."""
    edges: list[str]
    """Hyperparameters of which the winner has the smallest or largest value that was tried."""
    by_seed: dict[int, Winner] = {}
    """The winner of each report seed where each has its own; `setting` and `mean` are then None, `candidates` over all
    tuning seeds, and `edges` those of any of the winners."""

    def setting_for(self, seed: int) -> str | None:
        """Returns the setting that a report seed runs; None before it is chosen."""
        return self.by_seed[seed].setting if seed in self.by_seed else self.setting

    @property
    def chosen(self) -> dict[str, int]:
        """How many report seeds each chosen setting has, most first; empty where one choice serves all."""
        counts = Counter(winner.setting for winner in self.by_seed.values() if winner.setting is not None)
        return dict(counts.most_common())

    @property
    def left_out(self) -> list[str]:
        """The settings that cannot be chosen."""
        return [*self.failed, *self.unusable]


def winners(
    plan: Plan, records: Iterable[Record] | Mapping[str, Record], failed: Collection[str] = ()
) -> dict[Cell, Winner]:
    """Returns the winner of each cell (row, column) that has tuning runs.

    It is the setting with the best mean of the column's selection score over the tuning seeds. Settings with diverged
    seeds come after all others; on ties fewer updates win, then the order of the plan. failed: ids of runs that failed
    for good, whose settings are out, as are those with a record that cannot be used. Only records of tuning runs are
    looked at. Where each report seed has tuning seeds of its own, only those choose its setting.
    """
    known = by_id(records)
    columns = {column.name: column for column in plan.head.columns}
    groups = {} if plan.head.tuning is msgspec.UNSET else {group.report: group.tune for group in plan.head.tuning}
    tried = _Tried(plan)
    chosen = {}
    for cell, settings in _tuning(plan).items():
        column = columns[cell[1]]
        whole = _winner(tried, column, settings, known, failed)
        by_seed = {
            seed: _winner(tried, column, _of_seeds(settings, tune), known, failed) for seed, tune in groups.items()
        }
        chosen[cell] = _together(whole, by_seed) if by_seed else whole
    return chosen


class _Tried:
    """The hyperparameters of a plan's settings, and the ranges that groups of settings search."""

    def __init__(self, plan: Plan) -> None:
        self._values = {digest: hyperparameters(setting) for digest, setting in plan.head.settings.items()}
        self._ranges: dict[tuple[str, ...], dict[str, tuple[float, float]]] = {}

    def edges(self, chosen: str, settings: tuple[str, ...]) -> list[str]:
        """The hyperparameters of which `chosen` has the smallest or largest value of `settings`."""
        # Kept, as a row's settings are the same in each column.
        if settings not in self._ranges:
            self._ranges[settings] = searched_ranges(self._values[setting] for setting in settings)
        return edges(self._values[chosen], self._ranges[settings])


def _of_seeds(settings: Mapping[str, list[PlannedRun]], seeds: Collection[int]) -> dict[str, list[PlannedRun]]:
    return {setting: [run for run in runs if run.seed in seeds] for setting, runs in settings.items()}


def _together(whole: Winner, by_seed: dict[int, Winner]) -> Winner:
    """What each report seed chose for itself, as one cell's."""
    return msgspec.structs.replace(
        whole,
        setting=None,
        mean=None,
        complete=all(winner.complete for winner in by_seed.values()),
        edges=list(dict.fromkeys(edge for winner in by_seed.values() for edge in winner.edges)),
        by_seed=by_seed,
    )


def _tuning(plan: Plan) -> dict[Cell, dict[str, list[PlannedRun]]]:
    """Tuning runs by cell and setting, in the plan's order."""
    cells: dict[Cell, dict[str, list[PlannedRun]]] = {}
    for run in plan.runs:
        if run.role == "tune":
            cells.setdefault((run.row, run.column), {}).setdefault(run.setting, []).append(run)
    return cells


def _winner(
    tried: _Tried,
    column: Column,
    settings: Mapping[str, list[PlannedRun]],
    records: Mapping[str, Record],
    failed: Collection[str],
) -> Winner:
    candidates, out, unusable = [], [], {}
    finished = iter(_finished(column, settings, records))
    for setting, runs in settings.items():
        outcomes = [outcome for outcome in itertools.islice(finished, len(runs)) if outcome]
        if len(outcomes) < len(runs):
            if missing := [run.id for run in runs if run.id not in records]:
                out += [setting] if any(run_id in failed for run_id in missing) else []
                continue
            try:
                outcomes = _outcomes(column, setting, [records[run.id] for run in runs])
            except Unusable as error:
                unusable[setting] = str(error)
                continue
        candidates.append(_candidate(setting, outcomes))
    sign = -1.0 if column.selection_higher_is_better else 1.0
    candidates.sort(key=lambda c: (c.n_diverged, c.mean is None, sign * (c.mean or 0.0), c.updates))
    complete = len(out) + len(candidates) + len(unusable) == len(settings)
    best = candidates[0] if complete and candidates else None
    return Winner(
        setting=best.setting if best else None,
        mean=best.mean if best else None,
        complete=complete,
        candidates=candidates,
        failed=out,
        unusable=unusable,
        planned=len(settings),
        edges=tried.edges(best.setting, tuple(settings)) if best else [],
    )


def _finished(
    column: Column, settings: Mapping[str, list[PlannedRun]], records: Mapping[str, Record]
) -> Iterable[Outcome | None]:
    """What each tuning run of a cell came to, setting by setting; None unless it is in the index and plainly finished.

    At once for a cell, as a call per setting would be half of the time that choosing takes.
    """
    runs = [run.id for of_setting in settings.values() for run in of_setting]
    if column.selection is None or not isinstance(records, LightRecords):
        return [None] * len(runs)
    higher = bool(column.selection_higher_is_better)
    digests = [setting for setting, of_setting in settings.items() for _ in of_setting]
    return records.finished_scores(runs, digests, column.problem, column.selection, higher)


def _outcomes(column: Column, setting: str, records: list[Record]) -> list[Outcome]:
    """What each of the tuning runs of a setting came to.

    Unusable, naming the record, if one is not of the planned problem and setting, or has no selection score.
    """
    if column.selection is None:
        raise Unusable(records[0], f"tuned, but {column.name} has no score to select by")
    for record in records:
        if record.digests.setting != setting or record.digests.problem != column.problem:
            raise Unusable(record, f"its problem or setting is not the planned one of {column.name}")
    higher = bool(column.selection_higher_is_better)
    return [(value(record, column.selection, higher), record.updates) for record in records]


def _candidate(setting: str, outcomes: Sequence[Outcome]) -> Candidate:
    scores = [score for score, _ in outcomes]
    finite = [score for score in scores if score is not None]
    return Candidate(
        setting=setting,
        mean=mean(finite),
        n_diverged=len(scores) - len(finite),
        updates=sum([updates for _, updates in outcomes]),
        scores=scores,
    )
