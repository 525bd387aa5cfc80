"""Two checkpoint slots with digests, written whole or not at all; every valid one is a true state of its run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import torch
from torch import nn

from optathlon.suite.training.team import Team, merged, on_cpu

SLOTS = ("a", "b")


class Sidecar(msgspec.Struct, frozen=True):
    """Says what a slot must hold, and is written after it. best: file and digest of the best weights it refers to."""

    run: str
    update: int
    serial: int
    sha256: str
    size: int
    best: tuple[str, str] | None = None
    schema: int = 1


class Checkpoints:
    """The slots checkpoint-a.pt and checkpoint-b.pt of run `run` in `folder`; `warn` is told what is passed over."""

    def __init__(self, folder: Path, run: str, warn: Callable[[str], None]) -> None:
        self.folder, self.run, self.warn = folder, run, warn
        newest = max(((s.serial, slot) for slot in SLOTS if (s := self._sidecar(slot))), default=(0, SLOTS[1]))
        self.serial, self.current = newest
        for left in (*folder.glob(".checkpoint-*"), *folder.glob(".best-*")):  # by an attempt killed while it wrote
            left.unlink(missing_ok=True)

    def save(self, state: dict[str, Any], update: int, best: tuple[str, str] | None) -> bool:
        """Write `state` over the slot that was not loaded or saved last. A full disk or an I/O error is told to `warn`,
        and training goes on."""
        slot = SLOTS[1 - SLOTS.index(self.current)]
        try:
            sha256, size = write(self._data(slot), state)
            self.serial += 1
            sidecar = Sidecar(self.run, update, self.serial, sha256, size, best)
            _replace(self._data(slot).with_suffix(".json"), lambda path: path.write_bytes(msgspec.json.encode(sidecar)))
        except OSError as error:
            self.warn(f"checkpoint at update {update} not written: {error}")
            return False
        self.current = slot
        self._drop_stale_best(best[0] if best else None)
        return True

    def load(self) -> dict[str, Any] | None:
        """The newest valid state, or None. Slots with a wrong digest are passed over and told to `warn`."""
        found = sorted(((s, slot) for slot in SLOTS if (s := self._sidecar(slot))), key=lambda p: -p[0].serial)
        for sidecar, slot in found:
            path = self._data(slot)
            if wrong := self._wrong(sidecar, path):
                self.warn(f"{path.name}: {wrong}; falling back")
                continue
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # whole, but of another torch or another version of this code
                self.warn(f"{path.name}: cannot be loaded ({error}); falling back")
                continue
            self.current = slot
            return state
        if found:
            self.warn("no valid checkpoint is left; starting from the beginning")
        return None

    def save_best(self, state: dict[str, Any], update: int) -> tuple[str, str]:
        """Write best-<update>.pt; returns its name and digest."""
        path = self.folder / f"best-{update}.pt"
        digest, _ = write(path, state)
        self._drop_stale_best(path.name)
        return path.name, digest

    def load_best(self, best: tuple[str, str]) -> dict[str, Any]:
        """The best weights; raises OSError if the file is not what the state refers to."""
        path = self.folder / best[0]
        if _sha256(path) != best[1]:
            raise OSError(f"{path}: digest differs from the one in the checkpoint")
        return torch.load(path, map_location="cpu", weights_only=True)

    def _data(self, slot: str) -> Path:
        return self.folder / f"checkpoint-{slot}.pt"

    def _sidecar(self, slot: str) -> Sidecar | None:
        try:
            return msgspec.json.decode(self._data(slot).with_suffix(".json").read_bytes(), type=Sidecar)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _wrong(self, sidecar: Sidecar, path: Path) -> str | None:
        if sidecar.run != self.run:
            return f"belongs to run {sidecar.run}"
        try:
            if path.stat().st_size != sidecar.size or _sha256(path) != sidecar.sha256:
                return "its digest is not the recorded one"
            if sidecar.best and _sha256(self.folder / sidecar.best[0]) != sidecar.best[1]:
                return f"the best weights {sidecar.best[0]} that it refers to are damaged"
        except OSError as error:
            return str(error)
        return None

    def _drop_stale_best(self, present: str | None) -> None:
        kept = {s.best[0] for s in map(self._sidecar, SLOTS) if s and s.best} | {present}
        for path in self.folder.glob("best-*.pt"):
            if path.name not in kept:
                with contextlib.suppress(OSError):
                    path.unlink()


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


def write(path: Path, state: dict[str, Any]) -> tuple[str, int]:
    """Write `state` to `path` by a temporary file, fsync and rename; returns SHA-256 and size of the file."""
    digest: list[tuple[str, int]] = []

    def fill(temporary: Path) -> None:
        with temporary.open("wb") as file:
            _save(state, file)
        digest.append((_sha256(temporary), temporary.stat().st_size))

    _replace(path, fill)
    return digest[0]


def _save(state: dict[str, Any], file: BinaryIO) -> None:
    """Raises OSError where torch, on a full disk, has a RuntimeError about positions."""
    try:
        torch.save(state, file)
    except RuntimeError as error:
        raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def _replace(path: Path, fill: Callable[[Path], object]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        fill(temporary)
        _sync(temporary)
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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
