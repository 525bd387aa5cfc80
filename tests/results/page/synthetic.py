"""Sweeps of known truth with curves, for the page."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

import msgspec

from optathlon.results.board.build import leaderboard
from optathlon.results.page.report import Report
from optathlon.results.record import Curve, Record
from optathlon.results.store.run_state import State
from optathlon.results.sweep_results import SweepResults
from tests.results.make import DIVERGED, Sweep, setting

RATES = (0.03, 0.1, 0.3)
ROWS = ("sgd", "sgdp", "adamw", "adamp", "lion")
TASKS = ("imagenet-resnet18", "cub-triplet", "speech-commands")
FAR = 8.0


def curves(level: float, points: int, seed: str, length: float = 90.0, noise: float = 0.3) -> dict[str, list]:
    """Accuracy that rises to `level` and a loss that falls, `points` times in `length` epochs."""
    chance = random.Random(seed)
    times = [length * i / points for i in range(1, points + 1)]
    rise = [level - 55 * math.exp(-8 * t / length) + chance.gauss(0, noise) * (1 - t / length) for t in times]
    return {
        "validation/accuracy": list(zip(times, rise, strict=True)),
        "train/loss": [(t, 4 * math.exp(-3 * t / length)) for t in times],
    }


def sweep(
    rows: Sequence[str] = ROWS,
    tasks: Sequence[str] = TASKS,
    *,
    tune: Sequence[int] = (0,),
    report: Sequence[int] = (10, 11, 12),
    baseline: str | None = "sgd",
    rates: Sequence[float] = RATES,
) -> Sweep:
    """Each row tries `rates`; without tuning seeds it has the middle one only."""
    tried = rates if tune else rates[len(rates) // 2 : len(rates) // 2 + 1]
    of_row = {row: [setting(row, lr=rate, weight_decay=1e-4) for rate in tried] for row in rows}
    return Sweep(of_row, tasks=tasks, tune=tune, report=report, baseline=baseline)


def outcomes(
    planned: Sweep,
    points: int = 30,
    better: Mapping[tuple[str, str], float] | None = None,
    diverged: Sequence[tuple[str, str, int]] = (),
    missing: Sequence[tuple[str, str, int]] = (),
) -> list[Record]:
    """Records of every run. better: by how much a row is better on a task; the rest differ by seeds only.

    diverged, missing: by row, task and seed.
    """
    records = []
    for run in planned.plan.runs:
        place = (run.row, run.column, run.seed)
        if place in missing:
            continue
        rate = planned.settings[run.setting]["hyperparameters"]["lr"]
        chance = random.Random(repr((*place, rate)))
        level = 70 + (better or {}).get((run.row, run.column), 0.0) - 2 * abs(math.log10(rate / 0.1))
        end = level + chance.gauss(0, 0.3)
        points_of = curves(end, points, repr((*place, rate)))
        if place in diverged:
            cut = {name: of_curve[: points // 2] for name, of_curve in points_of.items()}
            record = planned.record(run, DIVERGED, curve=Curve(unit="epochs", points=cut))
        else:
            record = planned.record(run, end, end, curve=Curve(unit="epochs", points=points_of))
        records.append(record)
    return records


def report_of(planned: Sweep, records: Sequence[Record], states: Mapping[str, State] | None = None, **more) -> Report:
    """The page's report of `records`; runs without one wait, unless `states` says otherwise."""
    by_id = {record.id: record for record in records}
    waiting = {run.id: State(kind="waiting") for run in planned.plan.runs if run.id not in by_id}
    known = {**waiting, **(states or {})}
    view = SweepResults(plan=planned.plan, records=by_id, states=known, board=leaderboard(planned.plan, records, known))
    return Report(view, by_id, **more)


def renamed(of: Sweep, name: str) -> Sweep:
    """`of` under another name."""
    of.plan = msgspec.structs.replace(of.plan, head=msgspec.structs.replace(of.plan.head, name=name))
    return of
