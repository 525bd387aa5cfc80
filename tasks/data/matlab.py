"""MATLAB files, which SciPy reads well if they are whole and badly if not."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Collection
from pathlib import Path

import numpy as np

from optathlon.tasks.errors import DataError


def records(path: Path, struct: str, fields: Collection[str]) -> np.ndarray:
    """The records of `struct` in the file; DataError if it cannot be read, is not there, or lacks one of `fields`."""
    from scipy.io import loadmat

    try:
        found = loadmat(path, squeeze_me=True, variable_names=[struct])
    except Exception as error:  # of many kinds: scipy's reader trusts the file
        raise DataError(f"{path} is not a readable MATLAB file ({error}); fetch it again") from None
    array = np.atleast_1d(found.get(struct, np.array([])))
    missing = set(fields) - set(array.dtype.names or ())
    if missing:
        raise DataError(f"{path}: the struct {struct} has no field {min(missing)}; expected {', '.join(fields)}")
    return array


def survive(path: Path, struct: str) -> None:
    """DataError if reading `struct` ends a process: in damaged ones SciPy follows numbers out of its memory."""
    process = multiprocessing.get_context("spawn").Process(target=_try, args=(path, struct))
    process.start()
    process.join()
    if process.exitcode:
        raise DataError(f"{path} is not a readable MATLAB file (SciPy's reader crashes); fetch it again")


def _try(path: Path, struct: str) -> None:
    with contextlib.suppress(DataError):  # for this process's reader to tell
        records(path, struct, [])
