"""A leaderboard as one line per cell: what the long CSV and the DataFrame have."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from optathlon.results.board.cell import Cell
from optathlon.results.board.reference_rows import ReferenceRow
from optathlon.results.board.row import BoardRow
from optathlon.results.plan import Column
from optathlon.results.scores import direction
from optathlon.results.statistics.difference import mean_interval


def long_table(
    columns: Sequence[Column],
    rows: Sequence[BoardRow],
    references: Sequence[ReferenceRow],
    of_board: Mapping[str, Any],
) -> tuple[list[str], list[list[Any]]]:
    """Header and lines as `Leaderboard.long_table` gives them. of_board: facts that all cells share."""
    names = dict.fromkeys(name for row in rows for cell in row.cells for name in cell.hyperparameters)
    header = [*_FACTS, *column_names(names, _FACTS)]
    lines = [
        [
            *(of_board[name] if name in of_board else fact(column, row, cell) for name, fact in _FACTS.items()),
            *map(cell.hyperparameters.get, names),
        ]
        for row in rows
        for column, cell in zip(columns, row.cells, strict=True)
    ]
    for reference in references:
        for column, value in zip(columns, reference.values, strict=True):
            if value is not None:
                facts = _reference(column, reference.name, value)
                lines.append([*map(facts.get, _FACTS), *(None for _ in names)])
    return header, lines


def column_names(hyperparameters: Iterable[str], taken: Collection[str]) -> list[str]:
    """A column for each hyperparameter, "hyperparameter.NAME" where a column NAME is there already."""
    return [f"hyperparameter.{name}" if name in taken else name for name in hyperparameters]


def _reference(column: Column, name: str, value: float) -> dict[str, Any]:
    """The facts that there are of a reference model's score."""
    return {
        "task": column.name,
        "label": column.label,
        "metric": column.metric,
        "unit": column.unit,
        "direction": direction(column.higher_is_better),
        "row": name,
        "mean": value,
        "kind": "reference",
    }


_FACTS: dict[str, Callable[[Column, BoardRow, Cell], Any]] = {
    "task": lambda column, row, cell: column.name,
    "label": lambda column, row, cell: column.label,
    "metric": lambda column, row, cell: column.metric,
    "unit": lambda column, row, cell: column.unit,
    "direction": lambda column, row, cell: direction(column.higher_is_better),
    "row": lambda column, row, cell: row.name,
    "optimizer": lambda column, row, cell: row.optimizer,
    "status": lambda column, row, cell: cell.status,
    "rank": lambda column, row, cell: cell.rank,
    "best": lambda column, row, cell: cell.best,
    "tied": lambda column, row, cell: cell.tied,
    "mean": lambda column, row, cell: cell.mean,
    "mean_lo": lambda column, row, cell: _interval(cell)[0],
    "mean_hi": lambda column, row, cell: _interval(cell)[1],
    "std": lambda column, row, cell: cell.std,
    "ddof": lambda column, row, cell: None,  # the board's
    "n": lambda column, row, cell: cell.n,
    "n_planned": lambda column, row, cell: cell.n_planned,
    "n_diverged": lambda column, row, cell: cell.n_diverged,
    "n_failed": lambda column, row, cell: cell.n_failed,
    "min": lambda column, row, cell: cell.min,
    "max": lambda column, row, cell: cell.max,
    "delta": lambda column, row, cell: cell.delta,
    "delta_lo": lambda column, row, cell: cell.delta_lo,
    "delta_hi": lambda column, row, cell: cell.delta_hi,
    "p": lambda column, row, cell: cell.p,
    "p_holm": lambda column, row, cell: cell.p_holm,
    "baseline": lambda column, row, cell: None,  # the board's
    "setting_id": lambda column, row, cell: cell.setting and cell.setting[:16],
    "settings_tried": lambda column, row, cell: cell.settings_tried,
    "edge": lambda column, row, cell: ";".join(cell.edges),
    "runs": lambda column, row, cell: ";".join(cell.runs),
    "notes": lambda column, row, cell: "; ".join([*row.notes, *cell.notes]),
    "p_welch": lambda column, row, cell: cell.p_welch,
    "mean_shrunk": lambda column, row, cell: cell.mean_shrunk,
    "untested": lambda column, row, cell: cell.untested,
    "winners": lambda column, row, cell: _winners(cell),
    "claim": lambda column, row, cell: _claim(cell),
    "tuning_std": lambda column, row, cell: cell.tuning_std,
    "decided_at": lambda column, row, cell: cell.decided_at,
    "kind": lambda column, row, cell: "optimizer",
}


def _claim(cell: Cell) -> str | None:
    """What p speaks of: the settings that were run, or the optimizer with its tuning, which each seed repeats."""
    if cell.p is None:
        return None
    return "tuning included" if cell.chosen else "these settings"


def _winners(cell: Cell) -> int:
    """How many settings were chosen: of a cell that tuned once, or tunes nothing, its one."""
    return len(cell.chosen) or int(cell.setting is not None)


def _interval(cell: Cell) -> tuple[float | None, float | None]:
    """The 95 % t interval of the mean of a cell without diverged seeds."""
    return (mean_interval(cell.finite) if cell.comparable else None) or (None, None)
