"""Processes that fetch an epoch's micro-batches ahead of time, kept from epoch to epoch and for evaluations."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import io
import mmap
import os
import pickle
import re
import signal
import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from multiprocessing import connection
from typing import Any, TypeVar

import cloudpickle
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from optathlon.tasks.data.immutable import Immutable

Item = TypeVar("Item")

MOST_BYTES, MOST_OBJECTS = 16 << 20, 10_000
"""Of a load's `fetch`, and bytes of all its jobs: to send more costs more time than to start new workers."""

PR_SET_PDEATHSIG = 1  # linux/prctl.h

_DEATH = re.compile(r"DataLoader worker \(pid.*(killed by signal|exited unexpectedly)")
_FETCHING = "in DataLoader worker process"
"""In torch's words for an error that `fetch` raised in a worker."""


class DataWorkers:
    """`count` processes that fetch what one load after another asks for, each load's jobs in their order.

    The first load forks them; the next ones send them their `fetch` and jobs as those are by then. Not sent is what
    they have in memory since they were forked: Immutable objects, read-only arrays (of mapped files, say), networks
    and tensors on a GPU. So a `fetch` must not look at a network that is being trained. A load whose `fetch` or jobs
    cannot be sent (an open file, more than MOST_BYTES) starts the workers anew, as everything is inherited by a fork.

    They end at `close`, with this object, and with this process however that ends: a lock that they have inherited
    outlives it no longer than the kernel takes to kill them.

    pin: whether what they fetch is put into page-locked memory, from which a GPU copies without being waited for.
    """

    def __init__(self, count: int, pin: bool = False) -> None:
        self.count, self.pin = count, pin
        self._work = _Work()
        self._loader: DataLoader[Any] | None = None
        self._loading = False

    def __reduce__(self) -> tuple[Any, ...]:
        return DataWorkers, (0,)  # of a workload that is sent to its workers with a `fetch`

    def load(self, fetch: Callable[[Item], Any], jobs: Sequence[Item]) -> Iterator[Any]:
        """fetch(job) for each job, in order; a RuntimeError once a worker has died.

        Without workers, `count` 0, this process fetches. A load that begins while another is under way has workers of
        its own, as those of the other one are full of what is still to be taken from them.
        """
        if self.count == 0:
            yield from map(fetch, jobs)
        elif self._loading:
            with contextlib.closing(DataWorkers(self.count, self.pin)) as others:
                yield from others.load(fetch, jobs)
        else:
            self._loading = True
            try:
                yield from self._loader_of(fetch, jobs)
            except Exception as error:
                dead = self._dead_worker(error)
                self.close()
                if dead:
                    raise RuntimeError(dead) from None
                raise
            finally:
                self._loading = False
                self._work.forget()

    def close(self) -> None:
        """Ends the workers; a later load starts others."""
        loader, self._loader = self._loader, None
        _OPEN.discard(self)
        if workers := _workers_of(loader):
            loader._iterator._shutdown_workers()  # type: ignore[union-attr]
            for worker in workers:  # who has not ended by now fetches for long, and no signal stops it
                worker.kill()

    def _dead_worker(self, error: Exception) -> str | None:
        """torch's words for a worker's death, if `error` comes of one.

        Where a worker dies between fetching an item and handing over its memory, torch's error has that of the broken
        connection as its cause, or is that error itself, if the worker was not seen to be dead yet.
        """
        if isinstance(error, RuntimeError) and _DEATH.search(str(error)):
            return str(error)
        if not isinstance(error, OSError | EOFError) or _FETCHING in str(error):
            return None
        pids = {worker.sentinel: worker.pid for worker in _workers_of(self._loader)}
        ended = [pids[sentinel] for sentinel in connection.wait(list(pids), timeout=5)]
        return f"DataLoader worker (pid(s) {', '.join(map(str, ended))}) exited unexpectedly" if ended else None

    def _loader_of(self, fetch: Callable[[Any], Any], jobs: Sequence[Any]) -> DataLoader[Any]:
        if self._loader is None or not self._work.send(fetch, jobs):
            self.close()
            self._work.hand_down(fetch, jobs)
            self._loader = self._forking()
            _OPEN.add(self)
        return self._loader

    def _forking(self) -> DataLoader[Any]:
        """A loader that forks workers when it is first gone through."""
        return DataLoader(
            self._work,
            sampler=self._work,
            batch_size=None,
            num_workers=self.count,
            persistent_workers=True,
            multiprocessing_context="fork",
            worker_init_fn=self._work.begin,
            # One of its own: without it the loader would draw the workers' seeds from torch's global generator.
            generator=torch.Generator().manual_seed(0),
            collate_fn=_as_it_is,
            pin_memory=self.pin,
        )


def _workers_of(loader: DataLoader[Any] | None) -> Sequence[Any]:
    """The processes of a loader that has been gone through."""
    iterator: Any = getattr(loader, "_iterator", None)
    return iterator._workers if iterator is not None else ()


_OPEN: weakref.WeakSet[DataWorkers] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Before multiprocessing waits for them: it ends its children by a signal that data workers leave alone."""
    for workers in list(_OPEN):
        workers.close()


class _Work(Dataset[Any]):
    """A load's `fetch` and jobs: to the DataLoader its sampler in the training process, its dataset in a worker.

    Those of the load that forks the workers are inherited. Later ones are pickled: `fetch` into memory that all of them
    share, each job into the loader's queue.
    """

    def __init__(self) -> None:
        self.number = 0
        self.fetch: Callable[[Any], Any] | None = None
        self.jobs: Sequence[Any] = ()
        """Pickled ones, if `fetch` is."""
        self.pickled_fetch = b""
        self.memory = mmap.mmap(-1, MOST_BYTES)
        self.inherited: MutableMapping[int, object] = weakref.WeakValueDictionary()
        """By their ids the objects that need not be sent; in a worker they stay."""
        self.parent = 0

    def hand_down(self, fetch: Callable[[Any], Any], jobs: Sequence[Any]) -> None:
        """Has the workers that are forked next begin with these."""
        fixed = dict(self.inherited)
        with contextlib.suppress(Exception):  # of what cannot be pickled, as much as was met
            _Pickler(fixed, collect=True).dump(fetch)
        self.inherited = weakref.WeakValueDictionary(fixed)
        self.number, self.fetch, self.jobs, self.pickled_fetch = self.number + 1, fetch, jobs, b""
        self.parent = os.getpid()

    def send(self, fetch: Callable[[Any], Any], jobs: Sequence[Any]) -> bool:
        """Has the workers go on with these; False if they cannot be sent."""
        pickler, pickled_jobs, left = _Pickler(self.inherited), [], MOST_BYTES
        try:
            pickler.dump(fetch)
            for job in jobs:
                pickled_jobs.append(pickle.dumps(job, pickle.HIGHEST_PROTOCOL))
                if (left := left - len(pickled_jobs[-1])) < 0:
                    return False
        except Exception:  # of any kind, as objects say themselves how they are pickled
            return False
        self.number, self.jobs, self.pickled_fetch = self.number + 1, pickled_jobs, pickler.written.getvalue()
        return True

    def forget(self) -> None:
        """Keeps nothing alive from load to load."""
        self.fetch, self.jobs, self.pickled_fetch = None, (), b""

    def __iter__(self) -> Iterator[tuple[int, int, Any]]:
        # The loader asks for the first one when all workers are done with the load before, so that none still reads.
        size = len(self.pickled_fetch)
        self.memory[:size] = self.pickled_fetch
        for job in self.jobs if size else range(len(self.jobs)):
            yield self.number, size, job

    def begin(self, _: int) -> None:
        """Called in a worker once it is forked."""
        # Signals for the run reach every process of its group; data workers leave them to the training process, and are
        # killed with it.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.parent:  # it ended before the line above could take effect
            os._exit(0)
        torch.set_num_threads(1)
        self.inherited = dict(self.inherited)
        gc.freeze()  # the collector would write to what this process shares with the one that forked it

    def __getitem__(self, asked: tuple[int, int, Any]) -> Any:
        number, size, job = asked
        if number != self.number:
            self.fetch, self.jobs = _Unpickler(self.memory[:size], self.inherited).load(), ()
            self.number = number
            gc.collect()  # a closure before it may be part of a cycle
        return self.fetch(pickle.loads(job) if size else self.jobs[job])  # type: ignore[misc]


class _Pickler(cloudpickle.Pickler):
    """Pickles a `fetch`, also a closure, to `written`; what is `inherited` by its id alone.

    collect: whether to add to `inherited` what can be.
    """

    def __init__(self, inherited: MutableMapping[int, object], collect: bool = False) -> None:
        self.written = _Bounded()
        super().__init__(self.written, pickle.HIGHEST_PROTOCOL)
        self.inherited, self.collect, self.objects = inherited, collect, 0

    def persistent_id(self, value: Any) -> int | None:
        if self.collect and _is_fixed(value):
            self.inherited[id(value)] = value
        if self.inherited.get(id(value), self) is value:
            return id(value)
        self.objects += 1
        if self.objects > MOST_OBJECTS or _size(value) > MOST_BYTES:
            raise ValueError("too much to be sent")
        if isinstance(value, Tensor) and value.device.type != "cpu":
            raise ValueError("a forked process cannot use a GPU")
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, pickled: bytes, inherited: Mapping[int, object]) -> None:
        super().__init__(io.BytesIO(pickled))
        self.inherited = inherited

    def persistent_load(self, key: int) -> object:
        return self.inherited[key]


class _Bounded(io.BytesIO):
    def write(self, part: Any) -> int:
        if self.tell() + memoryview(part).nbytes > MOST_BYTES:
            raise ValueError("too much to be sent")
        return super().write(part)


def _is_fixed(value: object) -> bool:
    """Whether a worker that was forked when `value` was there already has it as it is."""
    if isinstance(value, np.ndarray):
        return not value.dtype.hasobject and not _is_writable(value)
    on_gpu = isinstance(value, Tensor) and value.device.type != "cpu"
    return on_gpu or isinstance(value, Immutable | nn.Module)


def _is_writable(array: np.ndarray) -> bool:
    """Whether `array`, or the one that it is a view of, can be written to."""
    return array.flags.writeable or (isinstance(array.base, np.ndarray) and _is_writable(array.base))


def _size(value: object) -> int:
    """Bytes that are copied at once when `value` is pickled."""
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    return value.nbytes if isinstance(value, np.ndarray) else 0


def _as_it_is(item: Item) -> Item:
    return item
