"""Which rows of a part are current: the record's file is as it was when it was read for that part."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator

from optathlon.results.store.index.part import Part, Stamp


class CurrentRows:
    """The rows of `part` of the runs `wanted` (all, if None) that `confirm` has found to be current."""

    def __init__(self, part: Part, wanted: Iterable[str] | None) -> None:
        self.part = part
        self._current, self._wanted = bytearray(len(part.ids)), bytearray(len(part.ids))
        """Of each row, whether it is."""
        for row in range(len(part.ids)) if wanted is None else map(part.rows.get, wanted):
            if row is not None:
                self._wanted[row] = True

    @property
    def wanted_count(self) -> int:
        """How many of the runs `wanted` the part has, current or not."""
        return self._wanted.count(True)

    def confirm(self, folder: str, listed: set[str], descriptor: int) -> None:
        """Look at the files of a folder of records, and take the names of the current ones out of `listed`.

        folder: its name. listed: names in it that no other part has confirmed. descriptor: of the folder, open.
        """
        for run, row, size, changed in self.part.files.in_folder(folder):
            if self._wanted[row] and (name := f"{run}.json") in listed:
                try:
                    # By the folder, as a walk down the whole path would be repeated for each file.
                    status = os.stat(name, dir_fd=descriptor)
                except OSError:
                    continue
                if status.st_size == size and status.st_mtime_ns == changed:
                    self._current[row] = True
                    listed.remove(name)

    def row(self, run_id: str) -> int | None:
        """The row of a run if it is current."""
        row = self.part.rows.get(run_id)
        return row if row is not None and self._current[row] else None

    def rows_of(self, runs: Iterable[str]) -> list[int | None]:
        """`row` of each of `runs`; inlined, as boards ask for 100,000."""
        row_of, current = self.part.rows.get, self._current
        return [row if (row := row_of(run)) is not None and current[row] else None for run in runs]

    def with_stamps(self) -> Iterator[tuple[int, Stamp]]:
        """Every current row with the stamp of its file."""
        return ((row, (size, changed)) for _, row, size, changed in self.part.files if self._current[row])

    def __contains__(self, run_id: object) -> bool:
        row = self.part.rows.get(run_id)  # pyright: ignore[reportArgumentType, reportCallIssue]
        return row is not None and self._current[row] == 1

    def __iter__(self) -> Iterator[str]:
        return itertools.compress(self.part.ids, self._current)

    def __len__(self) -> int:
        return self._current.count(True)
