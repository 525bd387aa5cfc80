"""Damaged files stop no command and no other run: what is wrong is named, what is whole is used."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from optathlon import tasks
from optathlon.results import Store
from optathlon.suite.errors import OK
from optathlon.suite.identity import Run
from optathlon.suite.main import main
from optathlon.tasks.data.dataset import build
from tests.torture.damage import damaged
from tests.torture.runs import Torture
from tests.torture.stores import RECORDS, prepare
from tests.torture.tally import Tally, in_child

KINDS = {
    "a record": "records/*/*.json",
    "a plan": "sweeps/sweep/plan-*.jsonl",
    "the index": "index/part-*",
    "an attempt or its end": "work/*/*/[ae]*-*.json",
    "what a launched sweep's file said": "sweeps/sweep/plan-*.toml",
    "a submission": "sweeps/sweep/submission-*.json",
    "the identity": "identity",
}
COMMANDS = (["status"], ["status", "--json"], ["leaderboard"], ["show", RECORDS[1].id], ["show", "sweep"],
            ["logs", RECORDS[1].id], ["clean"], ["merge", "STORE", "--into", "STORE-merged"])  # fmt: skip
EXITS = {0, 1, 2, 3, 4}
CHECKPOINTS = {
    "a checkpoint": "checkpoint-*.pt",
    "what stands beside a checkpoint": "checkpoint-*.json",
    "best weights": "best-*.pt",
}
DATA_SETS = ("ptb", "mnist", "speech-commands")


def torture(run: Run, folder: Path, tally: Tally, rounds: int) -> None:
    """Damage each kind of file `rounds` times, and read it by every command, or go on with it."""
    _stores(folder, tally, rounds)
    _checkpoints(Torture(run, folder), tally, max(1, rounds // 4))
    _data_sets(folder, tally, rounds)


def _stores(folder: Path, tally: Tally, rounds: int) -> None:
    whole = folder / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    prepare(whole)
    store = Store(whole / "store")
    store.put_submission("sweep", {"workers": 2, "handles": []})
    store.compact()
    for kind, pattern in KINDS.items():
        for seed in range(rounds):
            for name in ("store", "store-merged"):
                shutil.rmtree(folder / name, ignore_errors=True)
            shutil.copytree(whole / "store", folder / "store")
            path = _damage(folder / "store", pattern, random.Random(f"{kind} {seed}"))
            tally.add(f"{kind} damaged, then {len(COMMANDS)} commands", f"seed {seed}", _read(folder, path))


def _damage(folder: Path, pattern: str, chance: random.Random) -> Path:
    path = chance.choice(sorted(folder.glob(pattern)))
    data = damaged(path.read_bytes(), chance)
    path.unlink()  # it may be one with another name's file
    path.write_bytes(data)
    return path


def _read(folder: Path, hurt: Path) -> list[str]:
    """The rules that commands break in the store of `folder`, of which the file `hurt` is damaged."""
    root = folder / "store"
    before = {path: path.read_bytes() for path in (root / "records").rglob("*.json")}
    broken = []
    for words in COMMANDS:
        where = [] if "STORE" in words else ["--store", "STORE"]
        words = [word.replace("STORE", str(root)) for word in (*words, *where)]
        code, said = _said(folder, lambda words=words: main(words))
        if code not in EXITS or "Traceback" in said or "usage:" in said:
            broken.append(f"{' '.join(words)} of {hurt.name} ended with {code}: {said[-900:]}")
    lost = [path.name for path, data in before.items() if not path.exists() or path.read_bytes() != data]
    usable = {record.id for record in Store(root).records()}
    missing = {path.stem for path in before if path != hurt and path.stem not in usable}
    return [*broken, *(f"{name} was changed" for name in lost), *(f"{name} is read no more" for name in missing)]


def _said(folder: Path, act: Callable[[], int]) -> tuple[int, str]:
    (folder / "output").unlink(missing_ok=True)
    code, _ = in_child(act, folder / "output")
    return code, (folder / "output").read_text(errors="replace")


def _checkpoints(tortured: Torture, tally: Tally, rounds: int) -> None:
    for kind, pattern in CHECKPOINTS.items():
        for seed in range(rounds):
            chance = random.Random(f"{kind} {seed}")
            tortured.clear()
            tortured.attempt(None, updates=chance.randrange(8, 13))
            hurt = _damage(tortured.store.work(tortured.run.id), pattern, chance)
            code = tortured.attempt(None)
            broken = tortured.broken() + ([] if code == OK else [f"ended with {code}"])
            tally.add(f"{kind} damaged, then a run that goes on", f"seed {seed}, {hurt.name}", broken)


def _data_sets(folder: Path, tally: Tally, rounds: int) -> None:
    for name in DATA_SETS:
        whole = folder / f"whole-{name}"
        if not whole.exists():
            build(tasks.dataset(name), whole, "miniature")
        for seed in range(rounds):
            shutil.rmtree(folder / "data", ignore_errors=True)
            shutil.copytree(whole, folder / "data")
            chance = random.Random(f"{name} {seed}")
            path = chance.choice([p for p in sorted((folder / "data").rglob("*")) if p.is_file()])
            path.write_bytes(damaged(path.read_bytes(), chance))
            code, said = _said(folder, lambda name=name: _check(name, folder / "data"))
            broken = [] if code in (0, 4) and "Traceback" not in said else [f"{path.name}: {code}, {said[-900:]}"]
            tally.add(f"a file of {name} damaged, then checked and prepared anew", f"seed {seed}", broken)


def _check(name: str, data: Path) -> int:
    codes = [main(["data", how, name, "--data", str(data)]) for how in ("check", "prepare")]
    return max(codes)
