"""A leaderboard of records that no plan names: each problem is a column, each setting a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from optathlon.results.board.build import leaderboard
from optathlon.results.board.model import Leaderboard
from optathlon.results.hyperparameter_text import differing, in_words
from optathlon.results.plan import Column, Plan, PlanHead, PlannedRun, Row, column_label
from optathlon.results.record import Record, flat, hyperparameters
from optathlon.results.references import References
from optathlon.results.scores import by_id

T = TypeVar("T")


def leaderboard_of_records(
    records: Iterable[Record], name: str = "records", references: Mapping[str, References] = MappingProxyType({})
) -> Leaderboard:
    """A board without a plan: each problem a column, each setting a row; nothing selected, headline scores shown.

    references: by problem.
    """
    ordered = sorted(by_id(records).values(), key=lambda r: (r.digests.problem, r.digests.setting, r.seed))
    columns = _columns(ordered)
    rows = _rows(ordered)
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
        for r in ordered
    ]
    scales = {str(r.problem.get("scale", "paper")) for r in ordered}
    head = PlanHead(
        name=name,
        scale=", ".join(sorted(scales)),
        created="",
        digest="",
        baseline=None,
        columns=sorted(columns.values(), key=lambda c: c.name),
        rows=sorted(rows.values(), key=lambda r: r.name),
        problems={r.digests.problem: r.problem for r in ordered},
        settings={r.digests.setting: r.setting for r in ordered},
    )
    return leaderboard(Plan(head=head, runs=runs), ordered, references=references)


def _columns(records: Sequence[Record]) -> dict[str, Column]:
    of_problem: dict[str, list[Record]] = {}
    for record in records:
        of_problem.setdefault(record.digests.problem, []).append(record)
    labels = _distinct({p: (_problem_label(rs[0].problem), flat(rs[0].problem)) for p, rs in of_problem.items()})
    columns = {}
    for problem, alike in of_problem.items():
        headline = _most_common([r.headline for r in alike])
        # A column in which all runs diverged may know no score, and needs no direction.
        scores = [s for r in alike for s in r.scores if s.name == headline]
        unit, higher = _most_common([(s.unit, s.higher_is_better) for s in scores]) if scores else ("", False)
        columns[problem] = Column(
            name=labels[problem],
            label=labels[problem],
            problem=problem,
            metric=headline,
            unit=unit,
            higher_is_better=higher,
            selection=None,
            selection_higher_is_better=None,
        )
    return columns


def _most_common(values: Sequence[T]) -> T:
    """What most records of a problem say; the cells of the others are marked."""
    return Counter(values).most_common(1)[0][0]


def _rows(records: Sequence[Record]) -> dict[str, Row]:
    settings = {r.digests.setting: r.setting for r in records}
    named = {}
    for digest, setting in settings.items():
        others = {k: v for k, v in setting.items() if k not in ("optimizer", "hyperparameters")}
        named[digest] = (str(setting.get("optimizer", "?")), hyperparameters(setting) | flat(others))
    labels = _distinct(named)
    return {digest: Row(name=labels[digest], optimizer=named[digest][0]) for digest in settings}


def _problem_label(problem: Mapping[str, Any]) -> str:
    return column_label(str(problem.get("task", "?")), problem.get("scale", "paper"), problem.get("data", {}).values())


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
