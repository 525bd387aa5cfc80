"""What came out: run records, claims, selections and leaderboards. Imports nothing until something is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optathlon.results.board import Leaderboard, leaderboard
    from optathlon.results.errors import StoreError
    from optathlon.results.files import put_new
    from optathlon.results.formats import render
    from optathlon.results.owner import provably_dead, this_process
    from optathlon.results.selection import Winner, free_reports, winners
    from optathlon.results.states import State
    from optathlon.results.store import Store
    from optathlon.results.unplanned import leaderboard_of_records
    from optathlon.results.views import View, view

__all__ = [
    "Leaderboard",
    "State",
    "Store",
    "StoreError",
    "View",
    "Winner",
    "free_reports",
    "leaderboard",
    "leaderboard_of_records",
    "provably_dead",
    "put_new",
    "render",
    "this_process",
    "view",
    "winners",
]
_MODULES = {
    "Leaderboard": "board",
    "State": "states",
    "Store": "store",
    "StoreError": "errors",
    "View": "views",
    "Winner": "selection",
    "free_reports": "selection",
    "leaderboard": "board",
    "leaderboard_of_records": "unplanned",
    "provably_dead": "owner",
    "put_new": "files",
    "render": "formats",
    "this_process": "owner",
    "view": "views",
    "winners": "selection",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
