"""The references of a store: one small file a problem, written once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from optathlon.results.errors import StoreError
from optathlon.results.references import References
from optathlon.results.scores import usable
from optathlon.results.store.archive import Archive
from optathlon.results.store.files import exists, names, read
from optathlon.results.store.layout import DIGEST
from optathlon.results.store.schema_versions import decode

REMEDY = "remove it, and the next launch or run of its task computes it anew"


class ReferenceFiles(Archive):
    """References below `root`, by problem."""

    def put_references(self, references: References) -> bool:
        """Write the references of a problem; False if it has some: the first stay."""
        return self.adopt_references(references.problem, msgspec.json.encode(references) + b"\n")

    def adopt_references(self, problem: str, data: bytes) -> bool:
        """Write the references of a problem as another store has them, to the byte; False if it has some."""
        return self._put(self.references_file(problem), data)

    def has_references(self, problem: str) -> bool:
        """Whether there is a file of a problem's references, whatever it holds."""
        return exists(self.references_file(problem))

    def references(self, problems: Iterable[str]) -> dict[str, References]:
        """The references of those of `problems` that have some; files that hold none are named in the store's
        `problems`."""
        known = {references.problem: references for references, _ in self.written_references(set(problems))}
        for problem, references in known.items():
            if references.error:
                why = f"the references of {references.task} could not be computed: {references.error}"
                self._unusable(f"{self.references_file(problem)}: {why}")
        return {problem: references for problem, references in known.items() if not references.error}

    def written_references(self, problems: Collection[str] | None = None) -> Iterator[tuple[References, bytes]]:
        """What is known of the references of `problems` (all, if None), also why there are none, with its bytes as they
        are on disk; files that cannot be read are named in the store's `problems`."""
        for name in names(self.root / "references"):
            problem = name.removesuffix(".json")
            if not DIGEST.fullmatch(problem) or (problems is not None and problem not in problems):
                continue
            path = self.references_file(problem)
            try:
                data = read(path) or b""
                yield _checked(data, problem, path), data
            except OSError as error:
                self._problem(f"{path}: cannot be read ({error.strerror})")
            except StoreError as error:
                self._unusable(str(error))

    def _unusable(self, why: str) -> None:
        from optathlon.results.readable import one_line

        self._problem(f"{one_line(why)}; {REMEDY}")


def _checked(data: bytes, problem: str, path: Path) -> References:
    references = decode(data, References, path)
    if references.problem != problem:
        raise StoreError(f"{path}: holds problem {references.problem!r}, a copy under another name")
    for name, scores in references.models.items():
        for metric, value in scores.items():
            if not usable(value):
                raise StoreError(f"{path}: {metric} of {name!r} is {value}, which is no score")
    return references
