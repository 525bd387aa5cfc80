"""What an attempt does to the files of a run: in which order, after which question, and what of others' it leaves."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from optathlon.suite.training.checkpoint import Checkpoints, Fenced
from tests import file_deeds

RUN = "0123456789abcdef"


def files_of(attempt: int, folder: Path, fenced: Callable[[], bool] = lambda: False, warn=print) -> Checkpoints:
    return Checkpoints(folder, RUN, warn, attempt, fenced)


def state(update: int, best: tuple[str, str]) -> dict:
    return {"weights": torch.full((3,), float(update)), "best": {"update": update, "file": best}}


def write_all(files: Checkpoints) -> None:
    """Best weights and checkpoints, so many that both slots and earlier best weights are written over."""
    for update in range(1, 5):
        best = files.save_best({"weights": torch.zeros(3)}, update)
        files.save(state(update, best), update, best)


@pytest.fixture
def deeds(monkeypatch) -> list[str]:
    """What is done to files from now on."""
    return file_deeds.noted(monkeypatch)


def test_the_fence_is_asked_before_each_change(tmp_path, deeds):
    """Only removals may follow a removal without a question between them."""
    write_all(files_of(1, tmp_path))
    (tmp_path / ".best-0001-9.pt.left").touch()
    deeds.clear()
    second = files_of(2, tmp_path, fenced=lambda: deeds.append("ask") is not None)
    assert second.load() is not None
    write_all(second)
    kinds = ["begin", *(deed.partition(" ")[0] for deed in deeds if not deed.startswith("sync"))]
    before = {kind: {a for a, b in itertools.pairwise(kinds) if b == kind} for kind in set(kinds) - {"ask", "begin"}}
    assert before == {"write": {"ask"}, "rename": {"ask"}, "link": {"ask"}, "remove": {"ask", "remove"}}


def test_what_a_checkpoint_says_is_on_disk_before_it_says_so(tmp_path, deeds):
    files = files_of(1, tmp_path)
    best = files.save_best({"weights": torch.zeros(3)}, 1)
    files.save(state(1, best), 1, best)
    order = [deed for deed in deeds if not deed.startswith("write")]
    for name in ("best-0001-1.pt", "checkpoint-0001-a.pt", "checkpoint-0001-a.json"):
        synced, *named = order[:3]
        assert synced.startswith(f"sync .{name}.")
        assert named == [f"rename {name}", f"sync {tmp_path.name}/"]
        order = order[3:]
    assert order == []


def test_who_is_fenced_at_any_question_changes_nothing_from_there_on(tmp_path, deeds):
    """But for its own temporary files, which go."""
    (tmp_path / "whole").mkdir()
    write_all(files_of(1, tmp_path / "whole"))

    def attempt_of(folder: Path, fenced_at: int) -> int:
        """How many questions were asked."""
        shutil.copytree(tmp_path / "whole", folder)
        questions = itertools.count(1)

        def fenced() -> bool:
            deeds.clear()
            return next(questions) >= fenced_at

        with contextlib.suppress(Fenced):
            second = files_of(2, folder, fenced)
            second.load()
            second.save(state(5, best := second.save_best({"weights": torch.zeros(3)}, 5)), 5, best)
        return next(questions) - 1

    asked = attempt_of(tmp_path / "undisturbed", 1000)
    assert asked > 8
    for number in range(1, asked + 1):
        attempt_of(tmp_path / str(number), number)
        assert [deed for deed in deeds if not deed.startswith("remove .")] == []


def test_files_of_later_attempts_are_nobodys_to_delete(tmp_path):
    write_all(files_of(3, tmp_path))
    later = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_all(files_of(2, tmp_path))
    assert {name: (tmp_path / name).read_bytes() for name in later} == later


@pytest.mark.parametrize(
    "damage", [b"\xff", b'{"run":"\xf0"}', b"[" * 100_000, b'{"run":' + b"[" * 100_000, b"[]", b""]
)
def test_whatever_stands_in_a_sidecar_voids_only_its_slot(damage, tmp_path):
    passed_over: list[str] = []
    write_all(files_of(1, tmp_path))
    newest = files_of(1, tmp_path).load()
    assert newest is not None
    (tmp_path / "checkpoint-0001-b.json").write_bytes(damage)
    left = files_of(2, tmp_path, warn=passed_over.append).load()
    assert left is not None
    assert (newest["weights"][0], left["weights"][0]) == (4.0, 3.0)
