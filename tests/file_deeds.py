"""What this process does to files, in order: for tests of what must be on disk before what."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


def noted(patch: pytest.MonkeyPatch) -> list[str]:
    """What is done from now on: "write NAME", "rename NAME", "link NAME", "remove NAME", "sync NAME"; a folder is
    "NAME/"."""
    deeds: list[str] = []

    def note(owner: object, function: str, tell: Callable[..., str]) -> None:
        genuine = getattr(owner, function)

        def act(*words, **how):
            told = tell(*words)
            result = genuine(*words, **how)
            deeds.extend([told] if told else [])
            return result

        patch.setattr(owner, function, act)

    note(Path, "open", lambda path, mode="r", *_: f"write {path.name}" if mode == "wb" else "")
    note(Path, "unlink", lambda path, *_: f"remove {path.name}" if path.exists() else "")
    for function, word in (("replace", "rename"), ("rename", "rename"), ("link", "link")):
        note(os, function, lambda _, new, word=word: f"{word} {Path(new).name}")
    note(os, "fsync", _synced)
    return deeds


def _synced(descriptor: int) -> str:
    path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    return f"sync {path.name}{'/' if path.is_dir() else ''}"
