"""Two checkpoint slots with digests, written whole or not at all; every valid one is a true state of its run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import torch
from torch import nn

from optathlon.results.errors import StoreError
from optathlon.results.store.files import open_to_read, read
from optathlon.results.store.schema_versions import NOT_JSON
from optathlon.suite.training import loadable
from optathlon.suite.training.team import Team, on_cpu
from optathlon.tasks.shared_state import merged

SLOTS = ("a", "b")
_SIDECAR = re.compile(r"checkpoint-(?:(\d{4,})-)?[ab]\.json")
_BEST = re.compile(r"best-(?:(\d{4,})-)?\d+\.pt")
"""Without a number as earlier versions named them, which counts as attempt 0."""


class Fenced(Exception):  # noqa: N818
    """A newer attempt owns this run; nothing more is written."""


class Sidecar(msgspec.Struct, frozen=True):
    """Says what a slot must hold, and is written after it."""

    run: str
    update: int
    serial: int
    sha256: str
    size: int
    best: tuple[str, str] | None = None
    """File and digest of the best weights it refers to."""
    schema: int = 1


class Checkpoints:
    """The checkpoints and best weights of run `run` in `folder`, as attempt number `attempt` reads and writes them.

    An attempt writes files that carry its number, two slots in turn (checkpoint-0002-a.pt), and deletes none of later
    attempts: stopped anywhere and woken after another took over, it can harm nothing that the other refers to.
    fenced: asked before anything is written or removed; `warn` is told what is passed over.
    """

    def __init__(
        self,
        folder: Path,
        run: str,
        warn: Callable[[str], None],
        attempt: int = 1,
        fenced: Callable[[], bool] = lambda: False,
    ) -> None:
        self.folder, self.run, self.warn, self.attempt, self.fenced = folder, run, warn, attempt, fenced
        self.serial = max((sidecar.serial for sidecar in self._sidecars().values()), default=0)
        self.current: str | None = None
        """The slot that was loaded or saved last, as the name of its data."""
        self.rejected: set[str] = set()
        if not fenced():
            for left in (*folder.glob(".checkpoint-*"), *folder.glob(".best-*")):  # by attempts killed while they wrote
                left.unlink(missing_ok=True)

    def save(self, state: dict[str, Any], update: int, best: tuple[str, str] | None) -> bool:
        """Write `state` over this attempt's slot that was not loaded or saved last. A full disk or an I/O error is told
        to `warn`, and training goes on.

        Raises Fenced, and OSError where the best weights that the state refers to are gone: what says so would be no
        checkpoint, and what is left of the earlier ones is.
        """
        if best is not None and not (self.folder / best[0]).is_file():
            raise OSError(
                f"{self.folder / best[0]}: the best weights so far are gone; nothing of the store but `clean`"
                " removes them, and that only of finished runs"
            )
        slots = [self._slot(letter) for letter in SLOTS]
        path = self.folder / (slots[1] if self.current == slots[0] else slots[0])
        try:
            sha256, size = self._write(path, state)
            self.serial += 1
            sidecar = Sidecar(self.run, update, self.serial, sha256, size, best)
            self._replace(path.with_suffix(".json"), lambda to: to.write_bytes(msgspec.json.encode(sidecar)))
        except OSError as error:
            self.warn(f"checkpoint at update {update} not written: {error}")
            return False
        before, self.current = self.current, path.name
        self._drop_old({path.name, before})
        return True

    def load(self) -> dict[str, Any] | None:
        """The newest valid state that was not rejected, or None. Others are passed over and told to `warn`."""
        sidecars = self._sidecars()
        for name in sorted(sidecars, key=lambda name: (_attempt_of(name), sidecars[name].serial), reverse=True):
            if name in self.rejected:
                continue
            try:
                state = self._valid(sidecars[name], self.folder / name)
            except (Fenced, MemoryError):
                raise
            except Exception as error:  # damaged; or whole, but of another torch or another version of this code
                self._pass_over(name, str(error))
                continue
            self.current = name
            return state
        if sidecars:
            self.warn("no valid checkpoint is left; starting from the beginning")
        return None

    def reject(self, why: str) -> None:
        """Pass over the state that was loaded last: it is whole, but not one of this run as this code builds it."""
        assert self.current is not None, "nothing was loaded"
        self._pass_over(self.current, f"does not fit ({why})")
        self.current = None

    def save_best(self, state: dict[str, Any], update: int) -> tuple[str, str]:
        """Write best-<attempt>-<update>.pt; returns its name and digest. Raises Fenced."""
        path = self.folder / self._best(update)
        digest, _ = self._write(path, state)
        self._drop_stale_best(path.name)
        return path.name, digest

    def load_best(self, best: tuple[str, str]) -> dict[str, Any]:
        """The best weights; raises OSError if the file is not what the state refers to."""
        path = self.folder / best[0]
        if _sha256(path) != best[1]:
            raise OSError(f"{path}: digest differs from the one in the checkpoint")
        return torch.load(path, map_location="cpu", weights_only=True)

    def _slot(self, letter: str) -> str:
        return f"checkpoint-{self.attempt:04d}-{letter}.pt"

    def _best(self, update: int) -> str:
        return f"best-{self.attempt:04d}-{update}.pt"

    def _sidecars(self) -> dict[str, Sidecar]:
        """What stands beside each slot of this and earlier attempts, by the name of its data."""
        sidecars = {}
        for path in self.folder.glob("checkpoint-*.json"):
            if _SIDECAR.fullmatch(path.name) and _attempt_of(path.name) <= self.attempt:
                with contextlib.suppress(OSError, StoreError, *NOT_JSON):
                    sidecars[path.with_suffix(".pt").name] = msgspec.json.decode(read(path) or b"", type=Sidecar)
        return sidecars

    def _valid(self, sidecar: Sidecar, path: Path) -> dict[str, Any]:
        """The state in the slot `path`, its best weights taken over; raises what is wrong with it."""
        if sidecar.run != self.run:
            raise ValueError(f"belongs to run {sidecar.run}")
        if path.stat().st_size != sidecar.size or _sha256(path) != sidecar.sha256:
            raise ValueError("its digest is not the recorded one")
        if sidecar.best and _sha256(self.folder / sidecar.best[0]) != sidecar.best[1]:
            raise ValueError(f"the best weights {sidecar.best[0]} that it refers to are damaged")
        state = torch.load(path, map_location="cpu", weights_only=True)
        if sidecar.best:
            state["best"]["file"] = (self._adopt(sidecar.best[0], state["best"]["update"]), sidecar.best[1])
        return state

    def _adopt(self, name: str, update: int) -> str:
        """Give best weights of an earlier attempt a name of this one's, which none but it and later ones delete."""
        adopted = self._best(update)
        if name != adopted:
            self._ask_fence()
            (self.folder / adopted).unlink(missing_ok=True)
            os.link(self.folder / name, self.folder / adopted)
            _sync(self.folder)
        return adopted

    def _pass_over(self, name: str, why: str) -> None:
        self.rejected.add(name)
        self.warn(f"{name}: {why}; falling back")

    def _drop_old(self, present: set[str | None]) -> None:
        """Delete the slots of this and earlier attempts but `kept`, and then the best weights that none refers to."""
        self._ask_fence()
        for name in self._sidecars():
            if name not in present:
                for path in (self.folder / name, (self.folder / name).with_suffix(".json")):
                    with contextlib.suppress(OSError):
                        path.unlink()
        self._drop_stale_best(None)

    def _drop_stale_best(self, present: str | None) -> None:
        self._ask_fence()
        referenced = {sidecar.best[0] for sidecar in self._sidecars().values() if sidecar.best} | {present}
        for path in self.folder.glob("best-*.pt"):
            if path.name not in referenced and _BEST.fullmatch(path.name) and _attempt_of(path.name) <= self.attempt:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _write(self, path: Path, state: dict[str, Any]) -> tuple[str, int]:
        return write(path, state, self._ask_fence)

    def _replace(self, path: Path, fill: Callable[[Path], object]) -> None:
        _replace(path, fill, self._ask_fence)

    def _ask_fence(self) -> None:
        if self.fenced():
            raise Fenced


def _attempt_of(name: str) -> int:
    """The number of the attempt that wrote the file of this name."""
    matched = _SIDECAR.fullmatch(name.replace(".pt", ".json")) or _BEST.fullmatch(name)
    return int(matched[1] or 0) if matched else 0


class SharedCheckpoints:
    """The same for the processes of a `team`: the first one writes and reads `own`, the others send and are told."""

    def __init__(self, team: Team, own: Checkpoints | None) -> None:
        self.team, self.own = team, own

    def save(self, state: dict[str, Any], update: int, best: tuple[str, str] | None) -> bool:
        """As Checkpoints.save, with the workload's state of all processes, whose weights must be the same. True where
        it was written by this process."""
        self.team.same_weights(tensors_digest(state["players"]))
        workloads = self.team.all(on_cpu(state["workload"]))
        if self.own is None:
            return False
        return self.own.save({**state, "workload": merged(workloads)}, update, best)

    def load(self) -> dict[str, Any] | None:
        """As Checkpoints.load of the first process."""
        return self.team.first(lambda: self._own.load())

    def reject(self, why: str) -> None:
        """As Checkpoints.reject of the first process."""
        if self.own is not None:
            self.own.reject(why)

    def save_best(self, state: dict[str, Any], update: int) -> tuple[str, str]:
        """As Checkpoints.save_best of the first process."""
        return self.team.first(lambda: self._own.save_best(state, update))

    def load_best(self, best: tuple[str, str]) -> dict[str, Any]:
        """As Checkpoints.load_best of the first process."""
        return self.team.first(lambda: self._own.load_best(best))

    @property
    def _own(self) -> Checkpoints:
        assert self.own is not None, "only the first process has files"
        return self.own


def digest_of(players: Mapping[str, nn.Module]) -> str:
    """SHA-256 over every tensor of the players, bit for bit."""
    return tensors_digest({name: net.state_dict() for name, net in players.items()})


def tensors_digest(players: Mapping[str, Mapping[str, torch.Tensor]]) -> str:
    """SHA-256 over the tensors of each player's state, bit for bit."""
    hashed = hashlib.sha256()
    for name, tensors in players.items():
        for key, value in tensors.items():
            hashed.update(f"{name}.{key}:{value.dtype}:{tuple(value.shape)}".encode())
            hashed.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()


def write(path: Path, state: dict[str, Any], ask: Callable[[], object] = lambda: None) -> tuple[str, int]:
    """Write `state` to `path` by a temporary file, fsync and rename, before which `ask` may raise; returns SHA-256 and
    size of the file. Raises as `loadable.verify` does."""
    digest: list[tuple[str, int]] = []

    def fill(temporary: Path) -> None:
        with temporary.open("wb") as file:
            _save(state, file)
        loadable.verify(state, temporary)
        digest.append((_sha256(temporary), temporary.stat().st_size))

    _replace(path, fill, ask)
    return digest[0]


def _save(state: dict[str, Any], file: BinaryIO) -> None:
    """Raises OSError where torch, on a full disk, has a RuntimeError about positions."""
    try:
        torch.save(state, file)
    except RuntimeError as error:
        raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def _replace(path: Path, fill: Callable[[Path], object], ask: Callable[[], object]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    ask()
    try:
        fill(temporary)
        _sync(temporary)
        ask()  # to write many gigabytes takes long
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with open_to_read(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
