"""Plans and submissions of a store: numbered, written once, never changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_type_hints

import msgspec

from optathlon.results.errors import StoreError
from optathlon.results.plan import Plan, PlanHead, PlannedRun
from optathlon.results.store.archive import Archive
from optathlon.results.store.events import in_file
from optathlon.results.store.files import names, read, server_time, utc
from optathlon.results.store.identity import ensured_identity, is_own
from optathlon.results.store.layout import NAME
from optathlon.results.store.schema_versions import NOT_JSON, decode, decoder

REMEDY = "remove it and launch the sweep again"
_NUMBERED = re.compile(r"(plan|submission)-(\d{4,})\.jsonl?")


class Plans(Archive):
    """Plans of the sweeps of a store. One that is damaged is named in `problems` by whoever only writes others."""

    def put_plan(self, plan: Plan, toml: bytes) -> int:
        """Write `plan`, and the sweep `toml` that it came from, if its digest is new; returns the plan's number."""
        lines = b"".join(msgspec.json.encode(part) + b"\n" for part in (plan.head, *plan.runs))
        return self.put_plan_file(plan.head, lines, toml)

    def put_plan_file(self, head: PlanHead, lines: bytes, toml: bytes) -> int:
        """Write the plan that begins with `head`, given as its file, as `put_plan` does; returns its number."""
        folder, number = self.sweep_folder(head.name), 1
        while True:
            path = folder / f"plan-{number:04d}.jsonl"
            if self._put(path, lines) or self._digest(path) == head.digest:
                self._put(path.with_suffix(".toml"), toml)
                return number
            number += 1

    def plan_file(self, name: str, number: int) -> tuple[bytes, bytes]:
        """Plan `number` of the sweep `name` and the sweep it came from, as they are written."""
        path = self.sweep_folder(name) / f"plan-{number:04d}.jsonl"
        return _bytes_of(path), _bytes_of(path.with_suffix(".toml"))

    def plan_digests(self, name: str) -> dict[str, int]:
        """The numbers of the plans of the sweep `name` by their digests."""
        folder = self.sweep_folder(name)
        digests = {n: self._digest(folder / f"plan-{n:04d}.jsonl") for n in self._numbers(name, "plan")}
        return {digest: n for n, digest in digests.items() if digest}

    def plan(self, name: str, number: int | None = None) -> Plan:
        """Plan `number` of the sweep `name`, or its newest; StoreError if there is none or it cannot be read."""
        numbers = self._numbers(name, "plan")
        if number is None and numbers:
            number = numbers[-1]
        if number not in numbers or number is None:
            which = "no plan" if number is None else f"no plan {number}"
            known = ", ".join(map(str, numbers)) or f"plans are of: {', '.join(self.plan_names()) or 'no sweep yet'}"
            raise StoreError(f"{self.sweep_folder(name)}: {which} of sweep {name!r} in this store ({known})")
        path = self.sweep_folder(name) / f"plan-{number:04d}.jsonl"
        head, rest = _head_and_runs(_bytes_of(path))
        try:
            known = decode(head, PlanHead, f"{path}, line 1")
            return Plan(head=known, runs=_runs_of(known, rest))
        except (StoreError, *NOT_JSON) as error:
            raise StoreError(_damage(path, head, rest) or f"{path}: damaged ({error}); {REMEDY}") from None

    def plan_names(self) -> list[str]:
        """Names of the sweeps that have a plan, sorted."""
        return [n for n in names(self.root / "sweeps") if NAME.fullmatch(n) and self._numbers(n, "plan")]

    def plan_numbers(self, name: str) -> list[int]:
        """Numbers of the plans of the sweep `name`, oldest first."""
        return self._numbers(name, "plan")

    def put_submission(self, name: str, submission: dict[str, Any]) -> Path:
        """Write down what is about to be submitted for the sweep `name` of this store, and when that is by the file
        server's clock; returns the file."""
        folder, number = self.sweep_folder(name), 1 + self.launches(name)
        self.root.mkdir(parents=True, exist_ok=True)
        created = utc(server_time(self.root))
        submission = {"created": created, **submission, "store": ensured_identity(self.root)}
        while not self._put(path := folder / f"submission-{number:04d}.json", msgspec.json.encode(submission) + b"\n"):
            number += 1
        return path

    def submissions(self, name: str) -> list[dict[str, Any]]:
        """What was submitted for the sweep `name`, oldest first; what cannot be read of it is passed over."""
        folder = self.sweep_folder(name)
        files = (folder / f"submission-{n:04d}.json" for n in self._numbers(name, "submission"))
        return [submission for path in files for submission in in_file(path)]

    def launches(self, name: str) -> int:
        """How often the sweep `name` was launched."""
        return max(self._numbers(name, "submission"), default=0)

    def own_submissions(self, name: str) -> list[tuple[int, dict[str, Any]]]:
        """Those of `submissions`, with their places among all, that were made for this very store; not for the one that
        it is a copy of, whose workers know nothing of this one."""
        submissions = enumerate(self.submissions(name))
        return [
            (at, found) for at, found in submissions if not (of := found.get("store")) or is_own(str(of), self.root)
        ]

    def _numbers(self, name: str, kind: str) -> list[int]:
        matches = filter(None, map(_NUMBERED.fullmatch, names(self.sweep_folder(name))))
        return sorted(int(match[2]) for match in matches if match[1] == kind)

    def _digest(self, path: Path) -> str:
        """The digest of the plan in a file; "" if it cannot be read, which no other plan has to suffer for."""
        try:
            return decode(_bytes_of(path).partition(b"\n")[0], PlanHead, f"{path}, line 1").digest
        except StoreError as error:
            self._problem(f"{error}; remove this plan, of which nothing can be shown")
            return ""


def _bytes_of(path: Path) -> bytes:
    """What is in a file, if it is there. StoreError where it cannot be read: another's plan may be hers alone."""
    try:
        return read(path) or b""
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from None


def _head_and_runs(plan: bytes) -> tuple[bytes, memoryview]:
    """The first line of a plan, and the others, which are not copied."""
    end = plan.find(b"\n")
    end = len(plan) if end < 0 else end
    return plan[:end], memoryview(plan)[end + 1 :]


def _runs_of(head: PlanHead, lines: memoryview) -> list[PlannedRun]:
    """The runs in the `lines` below the head of a plan; msgspec.DecodeError if they name what is not in it.

    Names and digests are the very objects that the head has: a third of the memory, and no second look at each.
    """
    names_of = {
        "problem": head.problems,
        "setting": head.settings,
        "row": [row.name for row in head.rows],
        "column": [column.name for column in head.columns],
    }
    if not all(names_of.values()):
        if decoder(PlannedRun).decode_lines(lines):
            raise msgspec.ValidationError("a line names what the head cannot know")
        return []
    known = {field: Literal[tuple(values)] for field, values in names_of.items()}
    fields = [(name, known.get(name, kind)) for name, kind in get_type_hints(PlannedRun, include_extras=True).items()]
    line = msgspec.defstruct("PlannedRun", fields, frozen=True, kw_only=True, gc=False)
    runs: list[Any] = msgspec.json.Decoder(line).decode_lines(lines)
    for at, run in enumerate(runs):
        runs[at] = PlannedRun(
            id=run.id,
            problem=run.problem,
            setting=run.setting,
            seed=run.seed,
            role=run.role,
            row=run.row,
            column=run.column,
        )
    return runs


def _damage(path: Path, head: bytes, lines: memoryview) -> str | None:
    """What is wrong with a plan that cannot be read, in which line; None of what a second look does not see, such as a
    name twice in a line, first with a wrong value."""
    try:
        runs = decoder(PlannedRun).decode_lines(lines)
    except NOT_JSON as error:
        return f"{path}: damaged ({error}); {REMEDY}"
    try:
        known = decode(head, PlanHead, f"{path}, line 1")
    except StoreError as error:
        return str(error)
    names_of = {
        "row": {row.name for row in known.rows},
        "column": {column.name for column in known.columns},
        "problem": known.problems.keys(),
        "setting": known.settings.keys(),
    }
    for field, values in names_of.items():
        for number, run in enumerate(runs, start=2):
            if getattr(run, field) not in values:
                return f"{path}, line {number}: {field} {getattr(run, field)!r} is not in the plan's first line"
    return None
