"""What a store does beside runs, killed at each file call and done again, ends as if it had been done once."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optathlon.results import Store, StoreError
from optathlon.results.record import Ended
from optathlon.results.store.merge import merge
from optathlon.results.store.process_identity import this_process
from tests.results.make import Sweep, setting
from tests.torture import shim
from tests.torture.shim import CHANGES, Action, Blow
from tests.torture.tally import Tally, in_child, sample

SWEEP = Sweep({"sgd": [setting("sgd")], "adam": [setting("adam")]}, report=(1, 2))
RECORDS = SWEEP.records(lambda run: 0.5 if run.row == "sgd" else 0.6)
FORGOTTEN = RECORDS[0].id


def prepare(folder: Path) -> None:
    """A store with records, checkpoints and logs of finished runs, an index, and another store to merge."""
    store = Store(folder / "store")
    store.put_plan(SWEEP.plan, b'name = "sweep"\n')
    for record in RECORDS[:3]:
        attempt = store.claim(record.id, this_process())
        assert attempt is not None
        for name in ("checkpoint-0001-a.pt", "checkpoint-0001-a.json", "log-0001.txt"):
            (store.work(record.id) / name).write_text("x")
        store.commit(record)
        store.end(Ended(run=record.id, number=1, kind="finished"))
    other = Store(folder / "store" / "other")  # inside, so that its calls count: a merge only reads it
    other.put_plan(SWEEP.plan, b"")
    for record in RECORDS:
        other.commit(record)


def forget(store: Store) -> None:
    with contextlib.suppress(StoreError):  # it was done, but for its last steps
        store.forget(FORGOTTEN)


OPERATIONS: dict[str, Callable[[Store], Any]] = {
    "a plan being written": lambda store: Store(store.root / "new").put_plan(SWEEP.plan, b"toml"),
    "a submission being written": lambda store: store.put_submission("sweep", {"workers": 3}),
    "the index being written": Store.compact,
    "clean": Store.clean,
    "forget": forget,
    "merge": lambda store: merge([Store(store.root / "other")], store, lambda _: True),
}


def contents(root: Path) -> dict[str, Any]:
    """What of a store may not differ, whatever was killed: records, trash, plans, what reading it tells."""
    Store(root, lease=0.0).clean()
    store = Store(root, lease=0.0)
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    files |= {name: b"" for name in files if name.startswith("work/")}  # they tell times and processes
    kept = {name: data for name, data in files.items() if not name.startswith(("index", "identity", "trash", "new/id"))}
    return {
        "files": {name: data for name, data in kept.items() if "submission" not in name and "other/id" not in name},
        "trash": sorted(data for name, data in files.items() if name.startswith("trash") and "/work/" not in name),
        "submissions": [told["workers"] for told in store.submissions("sweep")][:1],
        "records": store.records(curves=True),
        "problems": store.problems,
    }


def torture(folder: Path, tally: Tally, most: int | None) -> None:
    """Kill each operation at each of its file calls, or let the disk be full from there on; then do it again."""
    for name, operation in OPERATIONS.items():
        expected, calls = _whole(folder, operation)
        blows = [Blow(action, call) for call in sample(calls, most) for action in (Action.KILL, Action.TEAR)]
        blows += [Blow(Action.FAIL, call, errno.ENOSPC, CHANGES, True) for call in sample(calls, most)]
        for blow in blows:
            how = "on a full disk" if blow.action is Action.FAIL else "killed"
            tally.add(f"{name}, {how}", blow, _strike(folder, operation, blow, expected))


def _whole(folder: Path, operation: Callable[[Store], Any]) -> tuple[dict[str, Any], int]:
    fresh(folder)
    code, _ = operate(folder, operation, Blow(Action.NOTHING, 0))
    assert code == 0, (folder / "output").read_text()
    return contents(folder / "store"), int((folder / "calls").read_text())


def _strike(folder: Path, operation: Callable[[Store], Any], blow: Blow, expected: dict[str, Any]) -> list[str]:
    fresh(folder)
    return twice(folder, operation, expected, blow=blow)


def twice(
    folder: Path,
    operation: Callable[[Store], Any],
    expected: dict[str, Any],
    before: Callable[[], object] = lambda: None,
    between: Callable[[], object] = lambda: None,
    blow: Blow | None = None,
) -> list[str]:
    """The rules that are broken where the operation is done under `blow`, and then once more."""
    before()
    code, _ = operate(folder, operation, blow)
    broken = [] if code in (0, 4, -9) else [f"ended with {code}: {(folder / 'output').read_text()[-800:]}"]
    between()
    again, _ = operate(folder, operation, None)
    if again != 0:
        broken.append(f"done again, it ended with {again}: {(folder / 'output').read_text()[-800:]}")
    actual = contents(folder / "store")
    return broken + [
        f"{part} differ: {_difference(actual[part], expected[part])}"
        for part in expected
        if actual[part] != expected[part]
    ]


def _difference(found: Any, expected: Any) -> str:
    if isinstance(found, dict):
        return str(sorted(k for k in found.keys() | expected.keys() if found.get(k) != expected.get(k)))
    return f"{found!r:.300} for {expected!r:.300}"


def fresh(folder: Path) -> None:
    shutil.rmtree(folder / "store", ignore_errors=True)
    (folder / "output").unlink(missing_ok=True)
    prepare(folder)


def operate(folder: Path, operation: Callable[[Store], Any], blow: Blow | None) -> tuple[int, int]:
    def act() -> int:
        if blow is not None:
            shim.arm(folder / "store", blow)
        try:
            operation(Store(folder / "store"))
        except (OSError, StoreError):  # which the command line tells in one line, with exit code 4
            return 4
        (folder / "calls").write_text(str(shim.disarm()))
        return 0

    return in_child(act, folder / "output")
