"""What a store holds as DataFrames: a line per run, a line per point of a curve, and the boards."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optathlon.results.board.from_records import leaderboard_of_records
from optathlon.results.board.long_table import column_names
from optathlon.results.board.model import Leaderboard
from optathlon.results.errors import StoreError
from optathlon.results.plan import PlannedRun
from optathlon.results.record import Record, hyperparameters
from optathlon.results.scores import usable
from optathlon.results.store.store import Store
from optathlon.results.sweep_results import SweepResults, load_results

if TYPE_CHECKING:
    import pandas

_PARTS = ("sweeps", "records", "work")
_RUN_TYPES = {
    "run": "string",
    "sweep": "string",
    "task": "string",
    "scale": "string",
    "row": "string",
    "optimizer": "string",
    "role": "string",
    "seed": "int64",
    "status": "string",
    "metric": "string",
    "unit": "string",
    "higher_is_better": "boolean",
    "score": "float64",
    "updates": "Int64",
    "problem_id": "string",
    "setting_id": "string",
}
_POINT_TYPES = {"run": "string", "name": "string", "time": "float64", "value": "float64"}


def read(store: str | Path) -> Results:
    """Reads the results in the folder `store`, which may hold no run yet; changes nothing there.

    Raises StoreError if there is no such folder, it cannot be read, or it holds files but nothing of a store.
    """
    root = Path(store)
    with _os_errors_as_ours():
        opened = Store(root)  # which refuses files
        if not root.exists():
            raise StoreError(f"{root}: there is no such folder; a store is what `optathlon launch` and `run` fill")
        if any(root.iterdir()) and not any((root / part).is_dir() for part in _PARTS):
            raise StoreError(f"{root}: is no store: it has none of {', '.join(f'{part}/' for part in _PARTS)}")
    return Results(opened)


@contextlib.contextmanager
def _os_errors_as_ours(part: str = "the store") -> Iterator[None]:
    """Raises the system's errors of a file or folder as StoreError; `part` stands in for a file that has no name."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename or part}: cannot be read ({error.strerror or error})") from None


class Results:
    """What lies in a store, read once, when it is first asked for.

    A sweep is its newest plan. A plan or record that could not be read is left out, and named in `problems`; where a
    whole folder cannot be read, what asks for it raises StoreError.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._refused: list[str] = []

    def __repr__(self) -> str:
        return f"<Results of {self._store.root}: sweeps {', '.join(self._sweeps) or 'none'}>"

    @property
    def problems(self) -> list[str]:
        """A sentence for each sweep or file that could not be read, and why."""
        _ = self._unplanned  # reads every plan and every record
        return [*self._refused, *map(str, self._store.problems)]

    @property
    def boards(self) -> dict[str, Leaderboard]:
        """The leaderboard of each sweep by its name; `to_pandas()` of one gives a line per cell."""
        return {name: results.board for name, results in self._sweeps.items()}

    @property
    def unplanned(self) -> Leaderboard | None:
        """The board of the runs that no sweep plans, as `optathlon run` makes them; None if there are none."""
        records = list(self._unplanned.values())
        with _os_errors_as_ours():
            references = self._store.references({record.digests.problem for record in records})
        return leaderboard_of_records(records, references=references) if records else None

    def runs(self) -> pandas.DataFrame:
        """One line per run of each sweep (a run that two sweeps share has two), and per run that no sweep plans.

        run: its id. sweep, row, role: its place in a plan, role "tune" or "report"; missing where no sweep plans it.
        task, scale, optimizer, seed: what it is. status: waiting, running, stopped, failed, finished or diverged.
        metric, unit, higher_is_better: the headline metric, "test/accuracy". score: its value; NaN without one.
        updates: how many were made. problem_id, setting_id: 16 digits of the digests; a mean may be taken over runs
        that have both in common. Then a column for each hyperparameter, named as it is ("hyperparameter.NAME" if it is
        called as one of the columns above), with missing values where an optimizer does not have it.
        """
        lines = [line for results in self._sweeps.values() for line in _planned_lines(results)]
        lines += [_unplanned_line(record) for record in self._unplanned.values()]
        settings = [line.pop("settings") for line in lines]
        names = list(dict.fromkeys(name for setting in settings for name in setting))
        frame = _frame(lines, _RUN_TYPES)
        import pandas

        columns = {
            column: [setting.get(name) for setting in settings]
            for name, column in zip(names, column_names(names, _RUN_TYPES), strict=True)
        }
        # At once: pandas warns of, and gets slow by, more than 100 columns that are added one by one.
        return pandas.concat([frame, pandas.DataFrame(columns, index=frame.index)], axis=1)

    def curves(self) -> pandas.DataFrame:
        """One line per point of the learning curves of all finished and diverged runs, in the order of recording.

        run: the run's id, as in `runs`. name: "train/loss", "validation/accuracy". time: epochs or updates done, as
        the task's protocol counts them. value: NaN where it was not finite.
        """
        with _os_errors_as_ours():
            lines = [
                {"run": record.id, "name": name, "time": time, "value": value}
                for record in self._store.records(curves=True)
                for name, points in record.curve.points.items()
                for time, value in points
            ]
        return _frame(lines, _POINT_TYPES)

    @functools.cached_property
    def _sweeps(self) -> Mapping[str, SweepResults]:
        read = {}
        with _os_errors_as_ours():
            for name in self._store.plan_names():
                try:
                    with _os_errors_as_ours("its plan"):
                        plan = self._store.plan(name)
                    read[name] = load_results(self._store, plan)
                except StoreError as error:  # one bad sweep hides no other
                    self._refused.append(f"sweep {name}: {error}")
        return read

    @functools.cached_property
    def _unplanned(self) -> Mapping[str, Record]:
        planned = {run.id for results in self._sweeps.values() for run in results.plan.runs}
        with _os_errors_as_ours():
            records = self._store.records_by_id(brief=True)
        return {run_id: records[run_id] for run_id in sorted(records.keys() - planned)}


def _planned_lines(results: SweepResults) -> Iterator[dict[str, Any]]:
    columns = {column.problem: column for column in results.plan.head.columns}
    optimizers = {row.name: row.optimizer for row in results.plan.head.rows}
    for run in results.plan.runs:
        column, record = columns[run.problem], results.records.get(run.id)
        yield {
            **_place(results, run),
            "optimizer": optimizers[run.row],
            "status": record.status if record else results.states[run.id].kind,
            "metric": column.metric,
            "unit": column.unit,
            "higher_is_better": column.higher_is_better,
            "score": record and _score(record, column.metric),
            "updates": record and record.updates,
            "settings": hyperparameters(results.plan.head.settings[run.setting]),
        }


def _place(results: SweepResults, run: PlannedRun) -> dict[str, Any]:
    head = results.plan.head
    return {
        "run": run.id,
        "sweep": head.name,
        "task": run.column,
        "scale": head.scale,
        "row": run.row,
        "role": run.role,
        "seed": run.seed,
        "problem_id": run.problem[:16],
        "setting_id": run.setting[:16],
    }


def _unplanned_line(record: Record) -> dict[str, Any]:
    headline = next((score for score in record.scores if score.name == record.headline), None)
    return {
        "run": record.id,
        "task": record.problem.get("task"),
        "scale": record.problem.get("scale"),
        "optimizer": record.setting.get("optimizer"),
        "seed": record.seed,
        "status": record.status,
        "metric": record.headline,
        "unit": headline and headline.unit,
        "higher_is_better": headline and headline.higher_is_better,
        "score": _score(record, record.headline),
        "updates": record.updates,
        "problem_id": record.digests.problem[:16],
        "setting_id": record.digests.setting[:16],
        "settings": hyperparameters(record.setting),
    }


def _score(record: Record, metric: str) -> float | None:
    """The score `metric` of a record; None where it has none, or diverged."""
    value = next((score.value for score in record.scores if score.name == metric), None)
    return value if record.status == "finished" and usable(value) else None


def _frame(lines: Iterable[Mapping[str, Any]], types: Mapping[str, str]) -> pandas.DataFrame:
    """A DataFrame with the columns of `types`, also where there is no line."""
    import pandas

    lines = list(lines)
    return pandas.DataFrame(
        {name: pandas.Series([line.get(name) for line in lines], dtype=kind) for name, kind in types.items()}
    )
