"""Waiting for the other processes of a run: whom one waits for is told, and a signal ends it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from optathlon.slurm.signals import PREEMPTED, STOP_SIGNALS
from optathlon.suite.errors import INTERRUPTED, Preempted

TOLD_AFTER, TOLD_EVERY = 5.0, 30.0
"""Seconds until it is told whom one waits for, and then between two such lines."""

POLL_SECONDS = 0.1

BEAT_SECONDS = 1.0
"""How often a process says how far it is."""

DEAF_SECONDS = 5.0
"""After a signal: who has not said anything for so long will not come."""

STOPPED_BY = (*STOP_SIGNALS, signal.SIGINT, signal.SIGHUP)
"""The signals that stop a run: Slurm's, Ctrl-C, and a terminal that closes."""


class Patience:
    """Tells, at intervals, for whom this process has been waiting since it was made."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.begun, self.next = say, time.monotonic(), TOLD_AFTER

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun

    def tell(self, whom: str) -> None:
        """Say that this process waits for `whom`, if it is time to."""
        if self.seconds >= self.next:
            self.next = self.seconds + TOLD_EVERY
            self.say(f"waiting for {whom}, for {self.seconds:.0f} s now")


def until(
    missing: Callable[[], str], stop: Callable[[], bool], most: float, say: Callable[[str], None] | None = None
) -> str:
    """Waits until `missing` names nobody any more, or for `most` seconds; returns whom it names then.

    Raises Preempted as soon as `stop()`.
    """
    patience = Patience(say or to_stderr)
    while whom := missing():
        if stop():
            raise Preempted
        if patience.seconds > most:
            return whom
        patience.tell(whom)
        time.sleep(POLL_SECONDS)
    return ""


def to_stderr(message: str) -> None:
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)


def processes(ranks: Sequence[int], hosts: Mapping[int, str] | None = None) -> str:
    """Names processes for people: "process 2 (gpu-7)", "processes 1, 3 and 12 more"."""
    names = [f"{rank} ({hosts[rank]})" if hosts and rank in hosts else str(rank) for rank in ranks]
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"process{'es' if len(names) > 1 else ''} {shown}" if names else ""


class Watch:
    """A thread that looks on while the main one waits in a collective operation, where it can say and hear nothing.

    Each process says in `store`, in a row, how many operations it has begun; those that have begun fewer are waited
    for. After a signal that stops a run this process waits only while all of them are heard of; then it ends, with the
    exit code of who was stopped: what was saved is saved, and the main thread cannot be told.
    """

    def __init__(self, store: Any, rank: int, hosts: Mapping[int, str]) -> None:
        self.store, self.rank, self.hosts = store, rank, hosts
        self.begun, self.patience = 0, None
        self.heard: dict[int, tuple[bytes, float]] = {}
        self.signalled: int | None = None
        self.orphaned = False
        """The store ended, with the first process that served it."""
        self.closed = threading.Event()
        self.pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        _waken(self.pipe[1])
        self.thread = threading.Thread(target=self._look, name="waiting", daemon=True)
        self.thread.start()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """The block is an operation in which all processes take part."""
        self.begun += 1
        self.patience = Patience(to_stderr)
        try:
            yield
        finally:
            self.patience = None

    def close(self) -> None:
        _waken(-1)
        self.closed.set()
        self.thread.join()
        for end in self.pipe:
            os.close(end)

    def _look(self) -> None:
        beats = 0
        while not self.closed.is_set():
            self._hear()
            beats += 1
            self._say(f"{self.begun} {beats}")
            if (patience := self.patience) and (self.signalled or patience.seconds >= TOLD_AFTER):
                self._look_at(patience, self._awaited())

    def _say(self, progress: str) -> None:
        if not self.orphaned:
            try:
                self.store.set(f"begun/{self.rank}", progress)
            except RuntimeError:
                self.orphaned = True

    def _hear(self) -> None:
        """Waits for a signal, until it is time for the next beat."""
        ready, _, _ = select.select([self.pipe[0]], [], [], BEAT_SECONDS)
        if ready:
            stopping = [number for number in os.read(self.pipe[0], 64) if number in STOPPED_BY]
            self.signalled = self.signalled or (stopping[0] if stopping else None)

    def _awaited(self) -> list[int]:
        """The ranks that are not as far as this process; the first one, if its store does not answer."""
        now, late = time.monotonic(), []
        try:
            progress = {rank: self._said(rank) for rank in self.hosts if rank != self.rank}
        except RuntimeError:
            self.orphaned = True
            return [0]
        for rank, words in progress.items():
            if words != self.heard.get(rank, (b"", 0.0))[0]:
                self.heard[rank] = words, now
            if int(words.split()[0]) < self.begun:
                late.append(rank)
        return late

    def _said(self, rank: int) -> bytes:
        return self.store.get(f"begun/{rank}") if self.store.check([f"begun/{rank}"]) else b"0 0"

    def _look_at(self, patience: Patience, late: Sequence[int]) -> None:
        if late:
            patience.tell(processes(late, self.hosts))
        deaf = [rank for rank in late if time.monotonic() - self.heard.get(rank, (b"", 0.0))[1] > DEAF_SECONDS]
        if self.signalled and deaf and self.patience is patience:
            to_stderr(f"stopped while waiting for {processes(deaf, self.hosts)}, which says nothing")
            os._exit(INTERRUPTED if self.signalled == signal.SIGINT else PREEMPTED)


def _waken(descriptor: int) -> None:
    """Have the numbers of signals written to `descriptor` as they come, in this process only."""
    with contextlib.suppress(ValueError):  # not in the main thread, which alone hears signals
        signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)


def _quiet_child() -> None:
    _waken(-1)  # data workers: a signal to one of them is not the run's


os.register_at_fork(after_in_child=_quiet_child)
