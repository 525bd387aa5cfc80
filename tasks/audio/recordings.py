"""The clips of a data set, decoded once into one memory-mapped file, and the tags and the split of each.

    decoded/samples.f32   mono float32 at 16 kHz, clip after clip
    decoded/clips.json    the `Recordings`

While it is made the folder is called .decoding and has a line for each clip that is done: who is stopped goes on from
there. A line holds checksums of the file and of its samples: what a crash of the machine or a full disk left half
written is decoded again. Samples are written through a file, not through the map, as a full disk kills a process that
writes to a map.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
import numpy as np

from optathlon.tasks.audio import decoding
from optathlon.tasks.data.files import NOT_JSON, file_digest, naming, write_whole
from optathlon.tasks.data.progress import counted
from optathlon.tasks.errors import DataError
from optathlon.tasks.randomness import generator

FOLDER, WORK = "decoded", ".decoding"
SAMPLES, CLIPS, DONE = "samples.f32", "clips.json", "done.tsv"
SAMPLE = np.dtype("<f4")
AT_ONCE, NAMED = 32, 10  # clips decoded side by side; broken files named in one error
SCHEMA = 1
Decode = Callable[[bytes, str], np.ndarray]


class Listed(NamedTuple):
    """A clip as a data set's lists have it: its file below the data set's folder, and the numbers of its tags."""

    path: str
    tags: tuple[int, ...]


class Clip(msgspec.Struct, frozen=True, array_like=True):
    """A decoded clip: its file, the numbers of its tags, and its first sample and their number in SAMPLES."""

    path: str
    tags: tuple[int, ...]
    start: int
    length: int


class Recordings(msgspec.Struct, frozen=True, kw_only=True):
    """A data set's decoded clips by split."""

    tags: tuple[str, ...]
    """What the numbers of a clip's tags mean."""
    splits: dict[str, list[Clip]]
    left_out: dict[str, str] = {}
    """Listed files that are in no split, and why."""
    source: str
    """SHA-256 of the paths and digests of all decoded files."""
    schema: int = SCHEMA

    @property
    def counts(self) -> dict[str, int]:
        """Clips per split."""
        return {split: len(clips) for split, clips in self.splits.items()}


class _Decoded(NamedTuple):
    """A line of DONE."""

    path: str
    digest: str
    """SHA-256 of the file."""
    start: int
    length: int
    checksum: int
    """CRC-32 of its samples in SAMPLES."""


def ensure(
    name: str,
    folder: Path,
    tags: Sequence[str],
    splits: Mapping[str, Sequence[Listed]],
    left_out: Mapping[str, str],
    decode: Decode = decoding.decode,
) -> Recordings:
    """Decode the clips of `splits`, files below data set `name`'s `folder`, to folder/decoded, unless they are there.

    decode: makes a file's content, whose name is for messages, mono samples at 16 kHz; DataError if it cannot.
    Returns what is there. Says how far it is on the standard error stream. DataError names the files that cannot be
    decoded; OSError if the disk is full. What was decoded by then is kept for the next call.
    """
    clips = [clip for split in splits.values() for clip in split]
    if (recordings := _current(folder, tags, splits, left_out)) is not None:
        (folder / FOLDER / DONE).unlink(missing_ok=True)  # of one who was stopped just before the end
        return recordings
    decoded = _decode_all(name, folder, [clip.path for clip in clips], decode)
    made = Recordings(
        tags=tuple(tags),
        splits={
            key: [Clip(path, numbers, decoded[path].start, decoded[path].length) for path, numbers in split]
            for key, split in splits.items()
        },
        left_out=dict(left_out),
        source=_source((clip.path, decoded[clip.path].digest) for clip in clips),
    )
    write_whole(folder / WORK / CLIPS, msgspec.json.encode(made) + b"\n")
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    (folder / WORK).rename(folder / FOLDER)
    (folder / FOLDER / DONE).unlink()  # last, so that who is stopped anywhere before has nothing to decode again
    return made


def read(folder: Path) -> Recordings:
    """The recordings in folder/decoded; DataError if they are not there or not whole."""
    try:
        recordings = msgspec.json.decode((folder / FOLDER / CLIPS).read_bytes(), type=Recordings)
        size = (folder / FOLDER / SAMPLES).stat().st_size
    except (OSError, *NOT_JSON) as error:
        raise DataError(
            f"{folder.name}: {folder / FOLDER} is missing or unreadable ({error}); {_again(folder)}"
        ) from None
    if recordings.schema != SCHEMA or size < _samples_of(recordings) * SAMPLE.itemsize:
        raise DataError(f"{folder.name}: {folder / FOLDER} is not whole or of another version; {_again(folder)}")
    return recordings


def samples(folder: Path) -> np.ndarray:
    """All samples of folder/decoded, float32, mapped into memory and read only; DataError if they are not whole.

    Whoever reads a map behind the end of its file is killed (SIGBUS), so the map itself is measured.
    """
    needed = _samples_of(read(folder))
    mapped = np.memmap(folder / FOLDER / SAMPLES, dtype=SAMPLE, mode="r")
    if len(mapped) < needed:
        raise DataError(f"{folder.name}: {folder / FOLDER / SAMPLES} was cut short; {_again(folder)}")
    return mapped


def _samples_of(recordings: Recordings) -> int:
    """How many samples the clips of all splits reach to."""
    return max((clip.start + clip.length for split in recordings.splits.values() for clip in split), default=0)


def _again(folder: Path) -> str:
    return f"`optathlon data prepare {folder.name}`, or remove the folder of a miniature or stand-in and build it"


def some(name: str, split: str, clips: Sequence[Clip], most: int) -> list[Clip]:
    """At most so many of the `clips` of data set `name`'s `split` (0: all), the same ones always, in their order."""
    order = generator(name, split, "subset").permutation(len(clips))[: most or None]
    return [clips[index] for index in np.sort(order)]


def first_of_each_tag(clips: Sequence[Clip], tags: int, most: int) -> list[Clip]:
    """Of clips with one tag each those of the first `tags` tags, tag by tag, at most so many of each (0: all)."""
    chosen = []
    for tag in range(tags):
        chosen += islice((clip for clip in clips if clip.tags[0] == tag), most or None)
    return chosen


def truth(clips: Sequence[Clip], tags: int) -> np.ndarray:
    """Which of the first `tags` tags each clip has: bool (clips, tags)."""
    has_tag = np.zeros((len(clips), tags), dtype=bool)
    for row, clip in zip(has_tag, clips, strict=True):
        row[[tag for tag in clip.tags if tag < tags]] = True
    return has_tag


def _current(
    folder: Path, tags: Sequence[str], splits: Mapping[str, Sequence[Listed]], left_out: Mapping[str, str]
) -> Recordings | None:
    """What folder/decoded holds, if it was made from the same lists and the same files."""
    if not (folder / FOLDER).exists():
        return None
    try:
        recordings = read(folder)
    except DataError:
        return None
    listed = {name: [Listed(clip.path, clip.tags) for clip in split] for name, split in recordings.splits.items()}
    same_lists = (recordings.tags, listed, recordings.left_out) == (
        tuple(tags),
        {name: list(split) for name, split in splits.items()},
        dict(left_out),
    )
    if not same_lists:
        return None
    paths = [clip.path for split in recordings.splits.values() for clip in split]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = pool.map(lambda path: file_digest(folder / path), paths)
        return recordings if recordings.source == _source(zip(paths, digests, strict=True)) else None


def _source(digests: Iterator[tuple[str, str]]) -> str:
    return hashlib.sha256("".join(f"{path}\t{digest}\n" for path, digest in digests).encode()).hexdigest()


def _decode_all(name: str, folder: Path, paths: Sequence[str], decode: Decode) -> dict[str, _Decoded]:
    """Decode the files `paths` below `folder` into WORK; the order of the samples is that in which they got done."""
    work = folder / WORK
    work.mkdir(exist_ok=True)
    done = _done_before(folder, set(paths))
    missing = [path for path in paths if path not in done]
    broken: list[str] = []
    write_whole(work / DONE, "".join(map(_line, done.values())).encode())
    with naming(work), (work / SAMPLES).open("ab") as out, (work / DONE).open("a", encoding="utf-8") as log:
        end = max((clip.start + clip.length for clip in done.values()), default=0)
        out.truncate(end * SAMPLE.itemsize)
        results = _decoded(folder, missing, decode)
        for path, result in counted(results, len(paths), f"{name}: decoding", done=len(done)):
            if isinstance(result, DataError):
                broken.append(str(result))
                continue
            digest, sound = result
            content = sound.astype(SAMPLE, copy=False).tobytes()
            out.write(content)
            out.flush()
            done[path] = _Decoded(path, digest, end, len(sound), zlib.crc32(content))
            log.write(_line(done[path]))
            log.flush()
            end += len(sound)
        os.fsync(out.fileno())
    if broken:
        rest = f"\n  and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        raise DataError(
            f"{name}: {len(broken)} of {len(paths)} recordings cannot be decoded; fetch them again:\n  "
            + "\n  ".join(broken[:NAMED])
            + rest
        )
    return done


def _decoded(
    folder: Path, paths: Sequence[str], decode: Decode
) -> Iterator[tuple[str, tuple[str, np.ndarray] | DataError]]:
    """Each path with digest and samples of its file, or why there are none. A few at a time, as together they may be
    more than memory holds."""

    def decode_one(path: str) -> tuple[str, np.ndarray] | DataError:
        try:
            content = (folder / path).read_bytes()
        except OSError as error:
            return DataError(f"{path} cannot be read: {error.strerror}")
        try:  # what else it raises, as where a library does not load, is no fault of the file
            return hashlib.sha256(content).hexdigest(), decode(content, path)
        except DataError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(paths), AT_ONCE):
            group = paths[first : first + AT_ONCE]
            yield from zip(group, pool.map(decode_one, group), strict=True)


def _done_before(folder: Path, paths: set[str]) -> dict[str, _Decoded]:
    """What an earlier call decoded of the `paths` files as they are now, and wrote whole."""
    done = {}
    try:
        lines = (folder / WORK / DONE).read_text(encoding="utf-8").split("\n")
        with (folder / WORK / SAMPLES).open("rb") as written:
            for clip in filter(None, map(_read_line, lines)):
                if clip.path in paths and _is_whole(clip, folder, written):
                    done[clip.path] = clip
    except (OSError, UnicodeDecodeError):
        pass  # nothing was decoded, or no more than that can be read: the rest is decoded again
    return done


def _is_whole(clip: _Decoded, folder: Path, written: BinaryIO) -> bool:
    """Whether the file of `clip` is the same still, and its samples in `written` are those that were decoded."""
    written.seek(clip.start * SAMPLE.itemsize)
    samples = written.read(clip.length * SAMPLE.itemsize)
    if len(samples) < clip.length * SAMPLE.itemsize or zlib.crc32(samples) != clip.checksum:
        return False
    file = folder / clip.path
    return file.is_file() and file_digest(file) == clip.digest


def _line(clip: _Decoded) -> str:
    return "\t".join(map(str, clip)) + "\n"


def _read_line(line: str) -> _Decoded | None:
    """What `_line` wrote, without the line's end; None if it is not whole."""
    try:
        path, digest, *numbers = line.split("\t")
        start, length, checksum = map(int, numbers)
        return _Decoded(path, digest, start, length, checksum)
    except ValueError:
        return None
