"""One official data set on disk: its edition, its manifest, and how to get, check and imitate it."""

from __future__ import annotations

import errno
import fcntl
import fnmatch
import hashlib
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import msgspec

from optathlon.tasks.data import places
from optathlon.tasks.data.files import (
    NOT_JSON,
    content_digest,
    file_digest,
    is_litter,
    sync_folder,
    umask,
    write_whole,
)
from optathlon.tasks.data.places import MANIFEST, folder_of
from optathlon.tasks.data.workspace import workspace
from optathlon.tasks.errors import DataError

FILES, SOURCES, ACCEPTED = "files.tsv", "SOURCES.json", "accepted.txt"
OURS = {MANIFEST, FILES, SOURCES, ACCEPTED}
DIGEST_AT_ONCE = 64 << 20


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A package that a stand-in was made from; `digest` is the SHA-256 of what was taken from it."""

    package: str
    version: str
    digest: str
    licence: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in a data set's folder. `edition`: official, standin-N, miniature-N or custom-<hash>."""

    dataset: str
    edition: str
    verified: str
    files: int
    size: int
    schema: int = 1


class Dataset(ABC):
    """One official data set. Subclasses describe it, verify its layout, and write imitations in that layout."""

    name: ClassVar[str]
    title: ClassVar[str]
    licence: ClassVar[str]
    homepage: ClassVar[str]
    get: ClassVar[str]
    """Which official files to fetch, and where below the folder they go."""
    miniature_version: ClassVar[int] = 1
    standins: ClassVar[dict[str, int]] = {}
    """Digest of the sources -> N of "standin-N"."""
    entries: ClassVar[tuple[str, ...]] = ("*",)
    """Wildcards for what belongs to the data set in a folder that holds others too, as torchvision's root does."""
    passed_over: ClassVar[tuple[str, ...]] = ()
    """Wildcards for paths below the folder that come with the data and are no part of it: not in its list of files."""
    made: ClassVar[tuple[str, ...]] = ()
    """Folders that `verify` makes of the files. They name no edition: what decodes a sound may round otherwise."""
    blank_lines: ClassVar[bool] = False
    """Whether empty lines at the end of a text are part of it."""

    @abstractmethod
    def verify(self, folder: Path) -> str | None:
        """Unpack and read what the user put into `folder`. Returns by what it is proven to be the official data
        ("md5 of 4 files"), or None if it is readable but not the official data; DataError names what is wrong."""

    @abstractmethod
    def write_miniature(self, folder: Path) -> None:
        """Write a tiny deterministic imitation in the official layout, learnable, in seconds."""

    def write_standin(self, folder: Path) -> list[Source]:
        """Convert real data from ordinary packages into the official layout; DataError if a package is absent."""
        raise DataError(f"{self.name}: there is no stand-in for this data set")


def manifest(root: Path, name: str) -> Manifest | None:
    """The manifest of data set `name` below `root`, or None; DataError if it is unreadable."""
    path = folder_of(root, name) / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except (*NOT_JSON, OSError) as error:
        raise DataError(f"{name}: {path} is unreadable ({error}); remove that file, then {_commands(name)}") from None


def edition(root: Path, name: str) -> str:
    """The edition below `root`; "official" where nothing lies yet, so that sweeps can be planned without the data."""
    prepared = manifest(root, name)
    return prepared.edition if prepared else "official"


def prepare(dataset: Dataset, root: Path, source: Path | None = None) -> Manifest:
    """Verify the files that the user put into root/name, or has in the folder `source`, and write their manifest.

    Where root/name cannot be written to, and for a `source`, links to the files take their place, and what is made of
    them lies beside the links: see `places`.
    """
    existing = manifest(root, dataset.name)
    made = existing or (manifest(source.parent, source.name) if source else None)
    if made and made.edition.startswith(("standin-", "miniature-")):
        held = folder_of(root, dataset.name) if existing else source
        raise DataError(
            f"{dataset.name}: {held} holds edition {made.edition}; put official files into another --data folder"
        )
    with _usable(dataset.name, Path(root) / dataset.name):
        folder = places.to_prepare(root, dataset, source)
    with _usable(dataset.name, folder), _alone(folder):
        proof = dataset.verify(folder)
        return _write_manifest(dataset, folder, "official" if proof else None, proof or "digest of the files found")


def build(dataset: Dataset, root: Path, kind: str) -> Manifest:
    """Write the "miniature" or the "standin" of `dataset` into root/name, all or nothing; DataError if other data is
    there. Building again what is there already does nothing."""
    folder = Path(root) / dataset.name
    prepared = manifest(root, dataset.name)
    strangers = not prepared and folder.is_dir() and any(folder.iterdir())
    if strangers or (prepared and not prepared.edition.startswith(f"{kind}-")):
        held = f"edition {prepared.edition}" if prepared else "files without a manifest"
        raise DataError(f"{dataset.name}: {folder} holds {held}, which is left alone; give another folder with --data")
    if prepared and (kind == "standin" or prepared.edition == f"miniature-{dataset.miniature_version}"):
        check(dataset, root)
        return prepared
    with _usable(dataset.name, Path(root)):
        Path(root).mkdir(parents=True, exist_ok=True)
        return _build(dataset, folder, kind, replace=prepared is not None)


def _build(dataset: Dataset, folder: Path, kind: str, replace: bool) -> Manifest:
    with workspace(folder.parent, f".{dataset.name}-") as work:
        work.chmod(0o777 & ~umask())
        if kind == "miniature":
            dataset.write_miniature(work)
            new, proof = f"miniature-{dataset.miniature_version}", "generated"
        else:
            sources = dataset.write_standin(work)
            (work / SOURCES).write_bytes(msgspec.json.format(msgspec.json.encode(sources)) + b"\n")
            digest = hashlib.sha256("\n".join(sorted(s.digest for s in sources)).encode()).hexdigest()[:16]
            new, proof = (
                f"standin-{dataset.standins.get(digest, digest[:8])}",
                "made from " + ", ".join(f"{s.package} {s.version}" for s in sources),
            )
        dataset.verify(work)
        made = _write_manifest(dataset, work, new, proof)
        if replace:
            shutil.rmtree(folder)
        work.rename(folder)  # takes the place of an empty folder, and of nothing else
        sync_folder(folder.parent)
        return made


def require(dataset: Dataset, root: Path) -> Manifest:
    """The manifest of data that is whole as far as a quick look tells: by digest if small, by size if large.

    Raises DataError with the command that helps.
    """
    folder = folder_of(root, dataset.name)
    prepared = manifest(root, dataset.name)
    if prepared is None:
        raise DataError(
            f"{dataset.name}: no prepared data in {folder} (--data or $OPTATHLON_DATA says where data is); expected"
            f" {dataset.get}; then {_commands(dataset.name)}"
        )
    _compare(dataset.name, folder, digests=prepared.size <= DIGEST_AT_ONCE, most=1000)
    return prepared


def require_accepted(name: str, root: Path, published: str) -> None:
    """DataError for an edition custom-<hash> of data set `name` below `root`, unless its folder's ACCEPTED names it.

    published: what the official data has, for the message. An edition changes with any file, and so must what accepts
    it; it is part of what a run is, and on every board.
    """
    prepared, accepted = manifest(root, name), folder_of(root, name) / ACCEPTED
    if prepared is None or not prepared.edition.startswith("custom-"):
        return
    try:
        words = accepted.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        words = []
    if prepared.edition not in words:
        raise DataError(
            f"{name}: {accepted.parent} holds edition {prepared.edition}, not the published data ({published}), so its"
            f" scores are not comparable with published ones; to run on it all the same, `echo {prepared.edition} >>"
            f" {accepted}`: boards name the edition"
        )


def check(dataset: Dataset, root: Path) -> Manifest:
    """Compare every file with the manifest, by digest; DataError names the first that differs."""
    prepared = require(dataset, root)
    _compare(dataset.name, folder_of(root, dataset.name), digests=True, most=None)
    return prepared


def _compare(name: str, folder: Path, *, digests: bool, most: int | None) -> None:
    for number, (path, size, digest) in enumerate(_listed(name, folder)):
        if number == most:
            return
        try:
            actual_size = (folder / path).stat().st_size
            actual_digest = file_digest(folder / path) if digests and actual_size == size else digest
        except (OSError, ValueError) as error:  # a ValueError for names that no file can have, of a damaged list
            why = getattr(error, "strerror", None) or error
            where = folder / path if path.isprintable() else f"{folder}/{path!r}"
            raise DataError(f"{name}: {where} cannot be read ({why}); {_again(name)}") from None
        if actual_size != size:
            raise DataError(f"{name}: {folder / path} has {actual_size} bytes, expected {size}; {_again(name)}")
        if actual_digest != digest:
            raise DataError(
                f"{name}: {folder / path} has SHA-256 {actual_digest[:16]}…, expected {digest[:16]}…; {_again(name)}"
            )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else prepares `folder`, whose half-made files would be listed, and remove what killed ones left
    of manifests; not where there are no locks."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
            for left in (*folder.glob(f".{MANIFEST}.*"), *folder.glob(f".{FILES}.*")):
                left.unlink(missing_ok=True)
        yield
    finally:
        os.close(handle)


def _listed(name: str, folder: Path) -> Iterator[tuple[str, int, str]]:
    try:
        with (folder / FILES).open(encoding="utf-8") as lines:
            for line in lines:
                path, size, digest = line.rstrip("\n").split("\t")
                yield path, int(size), digest
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: {folder / FILES} is unreadable ({error}); {_again(name)}") from None


def _write_manifest(dataset: Dataset, folder: Path, known: str | None, proof: str) -> Manifest:
    paths = _paths(folder, dataset.passed_over)
    rows = [(path, (folder / path).stat().st_size, file_digest(folder / path)) for path in paths]
    text = _table(rows)
    made = Manifest(
        dataset=dataset.name,
        edition=known or _custom(dataset, folder, paths),
        verified=proof,
        files=len(rows),
        size=sum(size for _, size, _ in rows),
    )
    if not (folder / FILES).is_file() or (folder / FILES).read_bytes() != text:
        (folder / MANIFEST).unlink(missing_ok=True)  # so that no manifest stands beside the list of other files
        write_whole(folder / FILES, text)
    write_whole(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(made)) + b"\n")
    return made


def _custom(dataset: Dataset, folder: Path, paths: list[str]) -> str:
    """custom-<hash>, of what the files hold: line ends and byte order marks make no other edition."""
    originals = (path for path in paths if path.partition("/")[0] not in dataset.made)
    rows = [(path, *content_digest(folder / path, blank_lines=dataset.blank_lines)) for path in originals]
    return f"custom-{hashlib.sha256(_table(rows)).hexdigest()[:8]}"


def _table(rows: list[tuple[str, int, str]]) -> bytes:
    return "".join(f"{path}\t{size}\t{digest}\n" for path, size, digest in rows).encode()


def _paths(folder: Path, passed_over: tuple[str, ...]) -> list[str]:
    """The files below `folder`, also behind links to folders, each folder once, without litter and what is passed over;
    DataError for names that a line of FILES cannot hold."""

    def belongs(base: Path, name: str) -> bool:
        path = (base / name).as_posix()
        return not is_litter(name) and not any(fnmatch.fnmatchcase(path, pattern) for pattern in passed_over)

    paths, visited = [], {os.path.realpath(folder)}
    for where, below, files in os.walk(folder, followlinks=True):
        base = Path(where).relative_to(folder)
        real = {n: os.path.realpath(os.path.join(where, n)) for n in sorted(below) if belongs(base, n)}
        below[:] = [name for name, path in real.items() if path not in visited]
        visited.update(real.values())
        paths += [(base / f).as_posix() for f in files if belongs(base, f) and not (base == Path() and f in OURS)]
    for path in paths:
        if not path.isprintable() or not (folder / path).is_file():
            raise DataError(f"{folder.name}: {folder}: remove {path!r}; expected plain files with printable names")
    return sorted(paths)


def _commands(name: str) -> str:
    return " or ".join(f"`optathlon data {action} {name}`" for action in ("prepare", "standin", "miniature"))


def _again(name: str) -> str:
    return (
        f"for official files put it right and `optathlon data prepare {name}`; a stand-in or a miniature: remove the"
        f" folder and {_commands(name).partition(' or ')[2]}"
    )


@contextmanager
def _usable(name: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"{name}: {where}: {error.strerror}; free some space there, or have what is prepared elsewhere:"
                f" `optathlon data prepare {name} --from {folder} --data ANOTHER`"
            ) from None
        raise DataError(
            f"{name}: {where}: {error.strerror or error}; expected a folder to read from and write to, other than that"
            " give another with --data"
        ) from None
