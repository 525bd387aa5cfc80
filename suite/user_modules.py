"""Where `module:NAME` of a user's own is found: beside the sweep file, before anything that is installed."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


class _NamedModules:
    """A finder for sys.meta_path that gives the modules named by the user from her folders, and nothing else.

    In front of sys.path, a folder would also hide packages that the suite needs behind files of hers that she never
    named, such as a datasets.py.
    """

    def __init__(self) -> None:
        self.folders: list[str] = []
        self.names: set[str] = set()

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, self.folders) if fullname in self.names else None


_named = _NamedModules()


def look_beside(folder: Path) -> None:
    """Has modules of `module:NAME` found in `folder`; what those import is found there after what is installed."""
    resolved = str(Path(folder).resolve())
    if resolved not in sys.path:
        sys.path.append(resolved)
    if resolved not in _named.folders:
        _named.folders.append(resolved)
    if _named not in sys.meta_path:
        sys.meta_path.insert(0, _named)


def prefer_own(path: str) -> None:
    """Has the module of `path` ("module:NAME") imported from a folder given to `look_beside`, if it lies there."""
    module, colon, _ = path.partition(":")
    if colon and not module.startswith("optathlon."):
        _named.names.add(module.partition(".")[0])
