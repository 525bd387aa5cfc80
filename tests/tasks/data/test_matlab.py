"""MATLAB files: damage is named, and a process that fails for another reason is not taken for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from optathlon.tasks.data import matlab
from optathlon.tasks.errors import DataError


@pytest.mark.parametrize("value", [5 + 0j, np.nan, 1.5, "5", [1, 2], None])
def test_what_is_no_whole_number_is_named(value: object) -> None:
    with pytest.raises(DataError, match=r"here: class .* is not a whole number"):
        matlab.integer("here", "class", value)


@pytest.mark.parametrize("value", [5, 5.0, np.uint8(5), np.array([[5]])])
def test_whole_numbers_of_any_type_are_read(value: object) -> None:
    assert matlab.integer("here", "class", value) == 5


def test_a_header_that_asks_for_all_memory_is_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import scipy.io

    def huge(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(scipy.io, "loadmat", huge)
    with pytest.raises(DataError, match=r"is not a readable MATLAB file \(MemoryError\)"):
        matlab.records(tmp_path / "a.mat", "synsets", [])


def fail(path: Path, struct: str) -> None:
    os._exit(3)


def crash(path: Path, struct: str) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize(("child", "message"), [(fail, "exited 3, which says nothing"), (crash, "reader crashes")])
def test_a_child_that_merely_fails_is_no_crash_of_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child, message: str
) -> None:
    savemat(tmp_path / "a.mat", {"synsets": np.zeros(1)})
    monkeypatch.setattr(matlab, "_try", child)
    with pytest.raises(DataError, match=message):
        matlab.survive(tmp_path / "a.mat", "synsets")
