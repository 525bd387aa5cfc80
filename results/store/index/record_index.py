"""The index of a store's records: parts in columns, which are added, merged and removed, but never changed.

Records are the truth. A part that is gone or damaged costs time and nothing else, so any number of processes on any
number of hosts may write parts and remove them at once: what each of them removes is in a part that it has written, or
has seen beside it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from optathlon.results.errors import StoreError
from optathlon.results.record import Record
from optathlon.results.store.files import make_folder, names, replace
from optathlon.results.store.index.light_records import Sharing
from optathlon.results.store.index.part import DamagedPart, Outcome, Part, PartWriter, Stamp


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
        return sorted(self._parts.values(), key=lambda part: (-len(part.rows), part.path.name))

    def current_rows(
        self, stamps: Iterable[Mapping[str, Stamp | None]], brief: bool = False
    ) -> tuple[dict[Part, dict[str, int]], dict[str, Stamp | None]]:
        """The rows of each part, by run, whose record's file still has the stamp that it had; the stamps of the others.

        Of a record that several parts hold, the row is in the first. stamps: those that files have now, some at a time,
        so that 100,000 need not be held. brief: as `parts` takes it.
        """
        current: dict[Part, dict[str, int]] = {part: {} for part in self.parts(brief)}
        changed: dict[str, Stamp | None] = {}
        for left in stamps:
            for part, rows in current.items():
                if not left:
                    break
                unchanged = part.unchanged(left)
                rows.update(unchanged)
                # Most often the first part has all, of which no second look needs be taken.
                left = {} if len(unchanged) == len(left) else {i: left[i] for i in left.keys() - unchanged.keys()}
            changed.update(left)
        return current, changed

    def extend(self, added: PartWriter, current: Mapping[Part, Mapping[str, int]]) -> None:
        """Write the records `added` as a part.

        It takes over the `current` rows of all parts that are no larger, as in a binary counter: so there are no more
        parts than the count of records has binary digits, and no record is written more often than that. Where several
        processes wrote at once there may be more, which become one. Parts of which more than half is out of date are
        taken over, too.
        """
        obsolete = set(self._damaged)
        crowded = len(current) > sum(map(len, current.values())).bit_length()
        for part, rows in sorted(current.items(), key=lambda item: len(item[1])):
            if crowded or len(rows) <= len(added.ids) or 2 * len(rows) < len(part.rows):
                obsolete.add(part.path.name)
                for row in rows.values():
                    added.add(part.make(row, brief=False), part.stamps[row])
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

    rows: by part those in the index. read: the others, which are not among them.
    """

    def __init__(self, rows: Mapping[Part, Mapping[str, int]], read: Mapping[str, Record], brief: bool) -> None:
        self._places = [(part, of_part) for part, of_part in rows.items() if of_part]
        self._read, self._brief = read, brief

    def __getitem__(self, run_id: str) -> Record:
        for part, rows in self._places:
            if (row := rows.get(run_id)) is not None:
                return part.record(row, self._brief)
        return self._read[run_id]

    def outcome(self, run_id: str) -> Outcome:
        """How a run that has a record came out."""
        for part, rows in self._places:
            if (row := rows.get(run_id)) is not None:
                return part.outcome(row)
        record = self._read[run_id]
        return Outcome(record.status, record.diverged_at, record.provenance.get("attempt", 0))

    def finished_scores(
        self, run_ids: Sequence[str], problem: str, setting: str, metric: str, higher_is_better: bool
    ) -> list[tuple[float, int]] | None:
        """`Part.finished_score` of each run; None if that is None of one, or one does not lie in the index."""
        scores: list[tuple[float, int]] = []
        for run_id in run_ids:
            for part, rows in self._places:
                if (row := rows.get(run_id)) is not None:
                    score = part.finished_score(row, problem, setting, metric, higher_is_better)
                    if score is None:
                        return None
                    scores.append(score)
                    break
        return scores if len(scores) == len(run_ids) else None

    def __contains__(self, run_id: object) -> bool:
        for _, rows in self._places:
            if run_id in rows:
                return True
        return run_id in self._read

    def __iter__(self) -> Iterator[str]:
        return itertools.chain(*(rows for _, rows in self._places), self._read)

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self._places) + len(self._read)
