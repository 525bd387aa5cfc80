"""The index of a store's records: parts in columns, which are added, merged and removed, but never changed.

Records are the truth. A part that is gone or damaged costs time and nothing else, so any number of processes on any
number of hosts may write parts and remove them at once: what each of them removes is in a part that it has written, or
has seen beside it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from optathlon.results.errors import StoreError
from optathlon.results.record import Record
from optathlon.results.store.files import make_folder, names, replace
from optathlon.results.store.index.current_rows import CurrentRows
from optathlon.results.store.index.light_records import Sharing
from optathlon.results.store.index.part import DamagedPart, FinishedScore, Outcome, Part
from optathlon.results.store.index.part_writer import PartWriter


class RecordIndex:
    """The parts in `folder`, which need not exist.

    sharing: holds once what is equal in the records of several parts.
    """

    def __init__(self, folder: Path, sharing: Sharing) -> None:
        self.folder, self._sharing = folder, sharing
        self._parts: dict[str, Part] = {}
        """Those that were read, by name: a name never gets another content."""
        self._damaged: set[str] = set()

    def parts(self, brief: bool) -> list[Part]:
        """The parts that can be read, the largest first; without `brief`, with all that their records hold."""
        self._parts = {name: part for name in names(self.folder) if (part := self._loaded(name, brief))}
        return sorted(self._parts.values(), key=lambda part: (-len(part.ids), part.path.name))

    def extend(self, added: PartWriter, current: Sequence[CurrentRows]) -> None:
        """Write the records `added` as a part.

        It takes over the `current` rows of all parts that are no larger, as in a binary counter: so there are no more
        parts than the count of records has binary digits, and no record is written more often than that. Where several
        processes wrote at once there may be more, which become one. Parts of which more than half is out of date are
        taken over, too.
        """
        obsolete = set(self._damaged)
        crowded = len(current) > sum(map(len, current)).bit_length()
        for of_part in sorted(current, key=len):
            part = of_part.part
            if crowded or len(of_part) <= len(added.ids) or 2 * len(of_part) < len(part.ids):
                obsolete.add(part.path.name)
                for row, stamp in of_part.with_stamps():
                    added.add(part.make(row, brief=False), stamp)
        if added.ids:
            make_folder(self.folder)
            replace(self.folder / f"part-{os.urandom(8).hex()}", added.encode())
        for name in obsolete:
            # Where that is forbidden, what is left is as good as it was.
            with contextlib.suppress(OSError):
                (self.folder / name).unlink()
        self._damaged -= obsolete

    def _loaded(self, name: str, brief: bool) -> Part | None:
        try:
            part = self._parts.get(name) or Part(self.folder / name, self._sharing)
            if not brief:
                part.load_provenances()
            return part
        except (DamagedPart, StoreError, msgspec.DecodeError):
            self._damaged.add(name)
        except OSError:  # another process has removed it, or it cannot be read just now
            pass
        return None


class LightRecords(Mapping[str, Record]):
    """Records by id. One that lies in the index is made when it is first asked for: a board of 100,000 runs looks at a
    quarter of their records.

    indexed: those in the index. read: the others, which are not among them.
    """

    def __init__(self, indexed: Sequence[CurrentRows], read: Mapping[str, Record], brief: bool) -> None:
        self._indexed = [of_part for of_part in indexed if len(of_part)]
        self._read, self._brief = read, brief

    def __getitem__(self, run_id: str) -> Record:
        for of_part in self._indexed:
            if (row := of_part.row(run_id)) is not None:
                return of_part.part.record(row, self._brief)
        return self._read[run_id]

    def outcome(self, run_id: str) -> Outcome:
        """How a run that has a record came out."""
        for of_part in self._indexed:
            if (row := of_part.row(run_id)) is not None:
                return of_part.part.outcome(row)
        record = self._read[run_id]
        return Outcome(record.status, record.diverged_at, record.provenance.get("attempt", 0))

    def finished_scores(
        self, runs: Sequence[str], settings: Sequence[str], problem: str, metric: str, higher_is_better: bool
    ) -> list[FinishedScore | None]:
        """`Part.finished_scores` of `runs`, each of its setting; None of one that does not lie in the index."""
        scores: list[FinishedScore | None] = [None] * len(runs)
        for of_part in self._indexed:
            rows = of_part.rows_of(runs)
            if any(row is not None for row in rows):
                of_rows = of_part.part.finished_scores(rows, settings, problem, metric, higher_is_better)
                scores = [score or other for score, other in zip(of_rows, scores, strict=True)]
        return scores

    def __contains__(self, run_id: object) -> bool:
        # No generator, as `status` asks for each run.
        for of_part in self._indexed:
            if run_id in of_part:
                return True
        return run_id in self._read

    def __iter__(self) -> Iterator[str]:
        return itertools.chain(*self._indexed, self._read)

    def __len__(self) -> int:
        return sum(map(len, self._indexed)) + len(self._read)
