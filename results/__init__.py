"""What came out: run records, claims, selections and leaderboards. Imports nothing until something is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from results.board import Leaderboard, leaderboard
    from results.errors import StoreError
    from results.files import put_new
    from results.formats import render
    from results.owner import provably_dead, this_process
    from results.selection import Winner, free_reports, winners
    from results.states import State
    from results.store import Store
    from results.unplanned import leaderboard_of_records
    from results.views import View, view

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
        raise AttributeError(f"module 'results' has no attribute {name!r}")
    return getattr(importlib.import_module(f"results.{_MODULES[name]}"), name)
