"""Compiles the C++ kernels once per machine and keeps them, each under a digest that proves it whole."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import hashlib
import importlib.resources
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_SOURCES = ("fused.cpp", "fused_adarem.cpp")
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
# A step reads three or four streams from memory once, and a core alone keeps too few lines of them on the way. Asked
# for 1 to 2 KiB ahead they come in time; no bit changes. The limits lifted are for loops that use their data again.
_PREFETCH = (
    "-fprefetch-loop-arrays",
    "--param=prefetch-latency=1000",
    "--param=simultaneous-prefetches=100",
    "--param=min-insn-to-prefetch-ratio=1",
)
_CHOICES = ((*_PREFETCH, "-fopenmp"), ("-fopenmp",), ())
"""What is added to the flags, the best that the compiler knows: prefetches are GCC's, threads need OpenMP."""
_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Returns where compiled kernels are kept: $OPTATHLON_CACHE, or optathlon in the user's cache folder.

    Raises RuntimeError where neither is known.
    """
    if own := os.environ.get("OPTATHLON_CACHE"):
        return Path(own)
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "optathlon"
    try:
        return Path.home() / ".cache" / "optathlon"
    except RuntimeError:
        raise RuntimeError("this user has no home; OPTATHLON_CACHE=FOLDER says where to keep them") from None


class Kernels(NamedTuple):
    """The loaded kernels, or why there are none."""

    library: ctypes.CDLL | None
    reason: str = ""


@functools.cache
def load() -> Kernels:
    """Loads the kernels, compiled before if need be; where that fails, the reason is also logged at level INFO."""
    try:
        return Kernels(ctypes.CDLL(str(_kept_or_built())))
    except _PROBLEMS as error:
        _log.info("no fused CPU kernels, the plain implementation runs instead: %s", error)
        return Kernels(None, str(error))


def prepare() -> str:
    """Compiles the kernels if none are kept; returns a sentence that says so, "" where they are kept already.

    Loads nothing, so that whoever forks afterwards starts no threads in the parent.
    """
    try:
        if _kept(_digest_file(_compiler(), _sources())):
            return ""
        start = time.monotonic()
        target = _kept_or_built()
        return f"compiled the fused optimizer kernels in {time.monotonic() - start:.0f} s, kept in {target.parent}"
    except _PROBLEMS as error:
        return f"no fused optimizer kernels on this CPU, the plain implementations run instead: {error}"


def _kept_or_built() -> Path:
    compiler, sources = _compiler(), _sources()
    digest_file = _digest_file(compiler, sources)
    if (library := _kept(digest_file)) is not None:
        return library
    digest_file.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(digest_file.with_suffix(".lock")) as alone:
        if alone:
            for abandoned in digest_file.parent.glob(f"{_workplace(digest_file)}*"):
                shutil.rmtree(abandoned, ignore_errors=True)
        # Whoever held the lock before may have built what this process waited for.
        return _kept(digest_file) or _build(compiler, sources, digest_file)


def _kept(digest_file: Path) -> Path | None:
    """Returns the library that `digest_file` names, if it is whole.

    A truncated library would load, and kill the process with SIGBUS when a page of it that is missing is called.
    """
    try:
        digest, name = digest_file.read_text(encoding="ascii").split()
        library = digest_file.with_name(name)
        return library if hashlib.sha256(library.read_bytes()).hexdigest() == digest else None
    except (OSError, ValueError):
        return None


def _build(compiler: str, sources: dict[str, str], digest_file: Path) -> Path:
    folder = digest_file.parent
    with tempfile.TemporaryDirectory(dir=folder, prefix=_workplace(digest_file)) as temporary:
        files = [Path(temporary) / name for name in sources]
        for file, text in zip(files, sources.values(), strict=True):
            file.write_text(text, encoding="utf-8")
        output = Path(temporary) / "fused.so"
        _compile(compiler, files, output)
        digest = hashlib.sha256(output.read_bytes()).hexdigest()
        # The name holds the digest: two builders never replace each other's file, and a process that has mapped a
        # damaged one keeps its own inode. The digest file comes last, so that it never names what is not there.
        library = folder / f"{digest_file.stem}-{digest[:16]}.so"
        output.replace(library)
        line = Path(temporary) / "digest"
        line.write_text(f"{digest}  {library.name}\n", encoding="ascii")  # as sha256sum -c reads it
        line.replace(digest_file)
    return library


def _workplace(digest_file: Path) -> str:
    """Returns how the folders begin in which this machine builds: not all file systems lock for other machines too."""
    return f"{digest_file.stem}-{hashlib.sha256(platform.node().encode()).hexdigest()[:8]}-"


def _compiler() -> str:
    compiler = shutil.which(os.environ.get("CXX") or "c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise RuntimeError("found no C++ compiler (c++, g++, clang++, or $CXX)")
    return compiler


def _sources() -> dict[str, str]:
    folder = importlib.resources.files(__name__.rpartition(".")[0])
    return {name: (folder / name).read_text(encoding="utf-8") for name in _SOURCES}


def _digest_file(compiler: str, sources: dict[str, str]) -> Path:
    """Returns the digest file's path, which names all that the code depends on: machines may share a cache folder."""
    key = "\0".join([*sources.values(), compiler, *_FLAGS, *_CHOICES[0], platform.machine(), _cpu_features()])
    return cache_folder() / f"fused-{hashlib.sha256(key.encode()).hexdigest()[:16]}.sha256"


def _cpu_features() -> str:
    """Returns what this processor can do: code for one must not be loaded on another that shares the folder."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())


def _compile(compiler: str, files: Sequence[Path], output: Path) -> None:
    """Compiles, with prefetches and threads where the compiler knows them."""
    problem = ""
    for choice in _CHOICES:
        command = [compiler, *_FLAGS, *choice, *map(str, files), "-o", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            return
        problem = f"{' '.join(command)}: {done.stderr[-2000:]}"
    raise RuntimeError(problem)


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[bool]:
    """Holds a lock that other processes of this machine wait for; yields False where the file system has no locks."""
    with path.open("w") as file:
        locked = False
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
            locked = True
        yield locked


_PROBLEMS = (OSError, RuntimeError, subprocess.SubprocessError)
