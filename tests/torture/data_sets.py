"""A data set that is built, killed at each file call and built again, is the one that was never killed."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from optathlon import tasks
from optathlon.tasks import DataError
from optathlon.tasks.data.dataset import build, check
from tests.torture import shim
from tests.torture.shim import CHANGES, Action, Blow
from tests.torture.tally import Tally, in_child, sample

NAMES = ("ptb", "mnist", "wikitext-103")


def torture(folder: Path, tally: Tally, most: int | None) -> None:
    """Kill the making of each data set at each of its file calls, or let the disk be full from there on."""
    for name in NAMES:
        expected, calls = _whole(folder, name)
        blows = [Blow(action, call) for call in sample(calls, most) for action in (Action.KILL, Action.TEAR)]
        blows += [Blow(Action.FAIL, call, errno.ENOSPC, CHANGES, True) for call in sample(calls, most)]
        for blow in blows:
            how = "on a full disk" if blow.action is Action.FAIL else "killed"
            tally.add(f"data prepare of {name}, {how}", blow, _strike(folder, name, blow, expected))


def _whole(folder: Path, name: str) -> tuple[str, int]:
    shutil.rmtree(folder / "data", ignore_errors=True)
    code = make(folder, name, Blow(Action.NOTHING, 0))
    assert code == 0, (folder / "output").read_text()
    return digest(folder / "data"), int((folder / "calls").read_text())


def _strike(folder: Path, name: str, blow: Blow, expected: str) -> list[str]:
    shutil.rmtree(folder / "data", ignore_errors=True)
    (folder / "output").unlink(missing_ok=True)
    return twice(folder, name, blow, expected)


def twice(
    folder: Path, name: str, blow: Blow | None, expected: str, between: Callable[[], object] = lambda: None
) -> list[str]:
    """The rules that are broken where a data set is made under `blow`, and then once more."""
    code = make(folder, name, blow)
    broken = [] if code in (0, 4, -9) else [f"ended with {code}: {(folder / 'output').read_text()[-800:]}"]
    between()
    again = make(folder, name, None)
    if again != 0:
        return [*broken, f"made again, it ended with {again}: {(folder / 'output').read_text()[-800:]}"]
    return broken if digest(folder / "data") == expected else [*broken, "what was made again differs"]


def make(folder: Path, name: str, blow: Blow | None) -> int:
    def act() -> int:
        if blow is not None:
            shim.arm(folder / "data", blow)
        try:
            build(tasks.dataset(name), folder / "data", "miniature")
        except (OSError, DataError):  # which the command line tells in one line, with exit code 4
            return 4
        (folder / "calls").write_text(str(shim.disarm()))
        check(tasks.dataset(name), folder / "data")
        return 0

    return in_child(act, folder / "output")[0]


def digest(folder: Path) -> str:
    """Of all names and bytes below `folder`."""
    hashed = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        hashed.update(str(path.relative_to(folder)).encode() + (path.read_bytes() if path.is_file() else b""))
    return hashed.hexdigest()
