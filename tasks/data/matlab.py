"""MATLAB files, which SciPy reads well if they are whole and badly if not."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from optathlon.tasks.errors import DataError, one_line

CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL}
"""How a process ends that follows a damaged file out of its memory."""


def records(path: Path, struct: str, fields: Collection[str]) -> np.ndarray:
    """The records of `struct` in the file; DataError if it cannot be read, is not there, or lacks one of `fields`."""
    from scipy.io import loadmat

    try:
        variables = loadmat(path, squeeze_me=True, variable_names=[struct])
        array = np.atleast_1d(variables.get(struct, np.array([])))
    except Exception as error:  # of many kinds, MemoryError too: scipy's reader trusts the file
        raise DataError(
            f"{path} is not a readable MATLAB file ({one_line(error) or type(error).__name__:.200}); fetch it again"
        ) from None
    missing = set(fields) - set(array.dtype.names or ())
    if missing:
        raise DataError(f"{path}: the struct {struct} has no field {min(missing)}; expected {', '.join(fields)}")
    return array


def integer(place: str, name: str, value: Any) -> int:
    """A field's `value` as a whole number; DataError names the `place` if it is none, as a complex number is none."""
    number = np.asarray(value)
    if number.size != 1 or number.dtype.kind not in "iuf" or not float(number.item()).is_integer():
        raise DataError(f"{place}: {name} {str(value)[:40]!r} is not a whole number")
    return int(number.item())


def survive(path: Path, struct: str) -> None:
    """DataError if reading `struct` ends a process: in damaged ones SciPy follows numbers out of its memory."""
    process = multiprocessing.get_context("spawn").Process(target=_try, args=(path, struct))
    process.start()
    process.join()
    if process.exitcode is not None and -process.exitcode in CRASHES:
        raise DataError(f"{path} is not a readable MATLAB file (SciPy's reader crashes); fetch it again")
    if process.exitcode:
        ended = f"was ended by signal {-process.exitcode}" if process.exitcode < 0 else f"exited {process.exitcode}"
        raise DataError(
            f"{path}: the process that tries whether SciPy can read it {ended}, which says nothing of the file; try"
            " again, with more memory if that was short"
        )


def _try(path: Path, struct: str) -> None:
    with contextlib.suppress(DataError):  # for this process's reader to tell
        records(path, struct, [])
