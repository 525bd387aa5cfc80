"""A leaderboard: of a plan and its records, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from results.cell import Cell
from results.errors import StoreError
from results.record import Column, Plan, PlanHead, PlannedRun, Record, Row
from results.scores import by_id, deviation, mean, value
from results.selection import Winner, winners
from results.settings import differing, flat, hyperparameters, in_words
from results.states import State
from results.verdicts import ALPHA, judged

if TYPE_CHECKING:
    import pandas

SCHEMA = 1
DDOF = 1


class BoardRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row: its cells in the columns' order. mean_rank: over all columns; None unless every cell has a rank."""

    name: str
    optimizer: str
    notes: list[str]
    mean_rank: float | None
    cells: list[Cell]


class Leaderboard(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of optimizers, or of settings, by columns of problems. baseline: the row that deltas are taken to.

    family: how many comparisons with the baseline were tested, which p_holm accounts for. alpha: of all verdicts.
    """

    name: str
    scale: str
    baseline: str | None
    columns: list[Column]
    rows: list[BoardRow]
    family: int = 0
    alpha: float = ALPHA
    ddof: int = DDOF
    schema: int = SCHEMA

    def cell(self, row: str, column: str) -> Cell:
        """The cell of `row` in `column`, both by name; KeyError if there is none."""
        at = {c.name: i for i, c in enumerate(self.columns)}[column]
        return {r.name: r for r in self.rows}[row].cells[at]

    def to_pandas(self) -> pandas.DataFrame:
        """One line a cell, with the columns of the long CSV."""
        import pandas

        from results.formats import long_table

        header, lines = long_table(self)
        return pandas.DataFrame(lines, columns=header)


def leaderboard(plan: Plan, records: Iterable[Record], states: Mapping[str, State] | None = None) -> Leaderboard:
    """The board of `plan`. states: those of its runs, which tell what has failed for good.

    Cells with tuning runs show the winner's report seeds, the others their one setting. StoreError, naming the records,
    if a cell would mix problems, settings, directions or units.
    """
    found = by_id(records)
    failed = {i for i, state in (states or {}).items() if state.kind == "failed"}
    chosen = winners(plan, found.values(), failed)
    reports: dict[tuple[str, str], list[PlannedRun]] = {}
    for run in plan.runs:
        if run.role == "report":
            reports.setdefault((run.row, run.column), []).append(run)
    grid = [
        [_cell(plan, c, reports.get((r.name, c.name), []), chosen.get((r.name, c.name)), found, failed)
         for c in plan.head.columns]
        for r in plan.head.rows
    ]  # fmt: skip
    baseline = next((i for i, row in enumerate(plan.head.rows) if row.name == plan.head.baseline), None)
    grid = judged(plan.head.columns, grid, baseline)
    rows = []
    for row, cells in zip(plan.head.rows, grid, strict=True):
        ranked = [cell.rank for cell in cells if cell.rank is not None]
        mean_rank = mean(ranked) if len(ranked) == len(cells) else None
        rows.append(BoardRow(name=row.name, optimizer=row.optimizer, notes=row.notes, mean_rank=mean_rank, cells=cells))
    known = plan.head.baseline if baseline is not None else None
    return Leaderboard(
        name=plan.head.name,
        scale=plan.head.scale,
        baseline=known,
        columns=plan.head.columns,
        rows=rows,
        family=sum(cell.p is not None for row in rows for cell in row.cells),
    )


def _cell(
    plan: Plan,
    column: Column,
    planned: Sequence[PlannedRun],
    winner: Winner | None,
    records: Mapping[str, Record],
    failed: set[str],
) -> Cell:
    if winner and winner.setting is None:
        seeds = len({run.seed for run in planned})
        return Cell(status="missing", n_planned=seeds, settings_tried=winner.planned, notes=_tuning_notes(winner))
    if winner:
        planned = [run for run in planned if run.setting == winner.setting]
    if not planned:
        return Cell(status="missing", notes=_tuning_notes(winner) if winner else [])
    there = [records[run.id] for run in planned if run.id in records]
    _one_setting(column, planned, there)
    values = [value(record, column.metric, column.higher_is_better, column.unit) for record in there]
    finite = [v for v in values if v is not None]
    n_failed = sum(run.id in failed and run.id not in records for run in planned)
    counts = (len(planned), len(finite), len(there) - len(finite), n_failed)
    setting = planned[0].setting
    return Cell(
        status=_status(*counts[:3]),
        mean=mean(finite),
        std=deviation(finite),
        n=len(finite),
        n_planned=len(planned),
        n_diverged=counts[2],
        n_failed=n_failed,
        min=min(finite, default=None),
        max=max(finite, default=None),
        setting=setting,
        hyperparameters=hyperparameters(plan.head.settings[setting]),
        settings_tried=winner.planned if winner else 1,
        edges=winner.edges if winner else [],
        runs=[record.id for record in there],
        seeds=[record.seed for record in there],
        values=values,
        notes=[*_count_notes(*counts), *_code_notes(there), *(_tuning_notes(winner) if winner else [])],
    )


def _one_setting(column: Column, planned: Sequence[PlannedRun], records: Sequence[Record]) -> None:
    """StoreError unless all are of the column's problem and of one setting, each seed once."""
    setting = planned[0].setting
    strangers = [r.id for r in planned if (r.problem, r.setting) != (column.problem, setting)]
    strangers += [r.id for r in records if (r.digests.problem, r.digests.setting) != (column.problem, setting)]
    if strangers:
        raise StoreError(
            f"{column.label}, row {planned[0].row}: runs {', '.join(dict.fromkeys(strangers))} are of another problem "
            f"or setting than {planned[0].id}, so no mean can be taken"
        )
    seeds: dict[int, str] = {}
    for run in planned:
        if seeds.setdefault(run.seed, run.id) != run.id:
            raise StoreError(
                f"{column.label}, row {run.row}: runs {seeds[run.seed]} and {run.id} are both of seed {run.seed}"
            )


def _status(planned: int, n: int, diverged: int) -> Literal["complete", "incomplete", "missing", "diverged"]:
    if n + diverged < planned:
        return "incomplete" if n + diverged else "missing"
    return "complete" if n else "diverged"


def _count_notes(planned: int, n: int, diverged: int, failed: int) -> list[str]:
    notes = []
    if n + diverged < planned:
        notes.append(f"{n + diverged} of {planned} seeds done; not ranked")
    if diverged:
        ranked = "" if n + diverged < planned else "; ranked after the others" if n else "; ranked last"
        notes.append(f"{diverged} of {planned} seeds diverged{ranked}")
    if failed:
        notes.append(f"{failed} of {planned} seeds failed")
    return notes


def _code_notes(records: Sequence[Record]) -> list[str]:
    trees = {record.provenance.get("code", {}).get("tree") for record in records}
    return [f"runs of {len(trees)} versions of the code"] if len(trees) > 1 else []


def _tuning_notes(winner: Winner) -> list[str]:
    notes = []
    if not winner.complete:
        done = len(winner.candidates) + len(winner.failed)
        notes.append(f"{done} of {winner.planned} settings tuned")
    if winner.failed:
        notes.append(f"{len(winner.failed)} of {winner.planned} settings left out: a tuning run failed")
    if winner.edges:
        notes.append(f"chosen on the edge of what was tried: {', '.join(winner.edges)}")
    return notes


def leaderboard_of_records(records: Iterable[Record], name: str = "records") -> Leaderboard:
    """A board without a plan: each problem a column, each setting a row; nothing selected, headline scores shown."""
    found = sorted(by_id(records).values(), key=lambda r: (r.digests.problem, r.digests.setting, r.seed))
    columns = _columns(found)
    rows = _rows(found)
    runs = [
        PlannedRun(
            id=r.id,
            problem=r.digests.problem,
            setting=r.digests.setting,
            seed=r.seed,
            role="report",
            row=rows[r.digests.setting].name,
            column=columns[r.digests.problem].name,
        )
        for r in found
    ]
    scales = {str(r.problem.get("scale", "paper")) for r in found}
    head = PlanHead(
        name=name,
        scale=", ".join(sorted(scales)),
        created="",
        digest="",
        baseline=None,
        columns=sorted(columns.values(), key=lambda c: c.name),
        rows=sorted(rows.values(), key=lambda r: r.name),
        problems={r.digests.problem: r.problem for r in found},
        settings={r.digests.setting: r.setting for r in found},
    )
    return leaderboard(Plan(head=head, runs=runs), found)


def _columns(records: Sequence[Record]) -> dict[str, Column]:
    of_problem: dict[str, list[Record]] = {}
    for record in records:
        of_problem.setdefault(record.digests.problem, []).append(record)
    labels = _distinct({p: (_problem_label(rs[0].problem), flat(rs[0].problem)) for p, rs in of_problem.items()})
    columns = {}
    for problem, alike in of_problem.items():
        headline = alike[0].headline
        if strangers := [r.id for r in alike if r.headline != headline]:
            raise StoreError(
                f"records {alike[0].id}, {', '.join(strangers)}: of one problem, but with different headlines"
            )
        # A column in which all runs diverged may know no score, and needs no direction.
        score = next((s for r in alike for s in r.scores if s.name == headline), None)
        columns[problem] = Column(
            name=labels[problem],
            label=labels[problem],
            problem=problem,
            metric=headline,
            unit=score.unit if score else "",
            higher_is_better=bool(score and score.higher_is_better),
            selection=None,
            selection_higher_is_better=None,
        )
    return columns


def _rows(records: Sequence[Record]) -> dict[str, Row]:
    settings = {r.digests.setting: r.setting for r in records}
    named = {}
    for digest, setting in settings.items():
        others = {k: v for k, v in setting.items() if k not in ("optimizer", "hyperparameters")}
        named[digest] = (str(setting.get("optimizer", "?")), hyperparameters(setting) | flat(others))
    labels = _distinct(named)
    return {digest: Row(name=labels[digest], optimizer=named[digest][0]) for digest in settings}


def _problem_label(problem: Mapping[str, Any]) -> str:
    """The task with its scale and data editions in brackets, where they are not the paper's and the official ones."""
    marks = [problem["scale"]] if problem.get("scale", "paper") != "paper" else []
    marks += [edition for edition in problem.get("data", {}).values() if edition != "official"]
    task = str(problem.get("task", "?"))
    return f"{task} [{', '.join(marks)}]" if marks else task


def _distinct(named: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Labels by digest: the name, with the values in which those of the same name differ."""
    groups: dict[str, list[str]] = {}
    for digest, (label, _) in named.items():
        groups.setdefault(label, []).append(digest)
    labels = {}
    for label, digests in groups.items():
        keys = differing(named[d][1] for d in digests)
        for digest in digests:
            labels[digest] = " ".join(filter(None, (label, in_words(named[digest][1], keys))))
    return labels
