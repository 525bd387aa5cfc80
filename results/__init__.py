"""What came out: run records, claims, selections and leaderboards. Imports nothing until something is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optathlon.results.board.build import leaderboard
    from optathlon.results.board.from_records import leaderboard_of_records
    from optathlon.results.board.model import Leaderboard
    from optathlon.results.board.report_runs import ReportRuns, free_reports, report_runs
    from optathlon.results.board.selection import Winner, winners
    from optathlon.results.errors import StoreError
    from optathlon.results.store.files import put_new
    from optathlon.results.store.process_identity import provably_dead, this_process
    from optathlon.results.store.run_state import State
    from optathlon.results.store.store import Store
    from optathlon.results.sweep_results import SweepResults, load_results
    from optathlon.results.text.formats import render

__all__ = [
    "Leaderboard",
    "ReportRuns",
    "State",
    "Store",
    "StoreError",
    "SweepResults",
    "Winner",
    "free_reports",
    "leaderboard",
    "leaderboard_of_records",
    "load_results",
    "provably_dead",
    "put_new",
    "render",
    "report_runs",
    "this_process",
    "winners",
]
_MODULES = {
    "Leaderboard": "board.model",
    "State": "store.run_state",
    "Store": "store.store",
    "StoreError": "errors",
    "SweepResults": "sweep_results",
    "Winner": "board.selection",
    "ReportRuns": "board.report_runs",
    "free_reports": "board.report_runs",
    "report_runs": "board.report_runs",
    "leaderboard": "board.build",
    "leaderboard_of_records": "board.from_records",
    "provably_dead": "store.process_identity",
    "put_new": "store.files",
    "render": "text.formats",
    "this_process": "store.process_identity",
    "load_results": "sweep_results",
    "winners": "board.selection",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
