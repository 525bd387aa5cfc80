"""What the processes of one run tell each other while they train: `Team` of one, `Joined` of several."""

from __future__ import annotations

import contextlib
import copy
import os
import platform
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
import torch
import torch.distributed as dist
from torch import Tensor, nn

from optathlon.suite.errors import MachineError
from optathlon.suite.failures import Fault
from optathlon.suite.training.place import Place
from optathlon.suite.training.reduction import Statistics, sum_gradients
from optathlon.suite.training.waiting import Watch, processes, until
from optathlon.tasks.shared_state import OutOfStep
from optathlon.tasks.workload import Batch

T = TypeVar("T")
Meeting = dist.Store  # type: ignore[attr-defined]

TEAM_SECONDS = "OPTATHLON_TEAM_SECONDS"


class Lost(RuntimeError):  # noqa: N818
    """Another process of the run died, or did not answer in time."""


class Team:
    """All processes of a run; here there is only this one, and so nothing to tell."""

    rank, world = 0, 1

    @property
    def hosts(self) -> tuple[str, ...]:
        return (platform.node(),)

    def agree(self, wish: int) -> int:
        """The greatest `wish` of all processes, which each of them must ask at the same point."""
        return wish

    def first(self, make: Callable[[], T]) -> T:
        """What `make` gives in the first process; the others do not call it."""
        return make()

    def all(self, value: T) -> list[T]:
        """The values of all processes, in order of rank."""
        return [value]

    def through(self, parts: Iterable[Batch], nets: Iterable[nn.Module]) -> Iterator[Batch]:
        """Each of this process's `parts` of an update; after the last, the buffers of `nets` are as if all parts of
        all processes had gone through here in order."""
        yield from parts

    def sum_gradients(self, net: nn.Module, loss: Tensor) -> Tensor:
        """Replace each gradient of `net` by the sum over all processes; returns the sum of `loss`."""
        return loss

    def same_weights(self, digest: str) -> None:
        """OutOfStep if the processes' digests differ."""

    def blame(self, fault: Fault) -> Fault:
        """Say that this process fails by `own`; returns the fault that was the first of all processes'."""
        return fault

    def leave(self) -> None:
        """Part in good order, when all have done their work."""


class Joined(Team):
    """One process of several that have met. RuntimeErrors of torch.distributed come as Lost.

    Tensors on a GPU travel by NCCL, all else by gloo.
    """

    def __init__(
        self, place: Place, store: Meeting, device: torch.device, stop: Callable[[], bool] = lambda: False
    ) -> None:
        """Raises Preempted once `stop()` while not all have come, Lost if they do not come in time."""
        self.rank, self.world, self.store = place.rank, place.world, store
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        self.statistics: Statistics | None = None
        hosts = _all_come(place, store, stop)
        self.watch = Watch(within(store, "watch"), self.rank, hosts)
        with self._together():
            dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.world, timeout=patience())
        self._hosts = tuple(hosts[rank] for rank in range(self.world))

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """The block is an operation of all processes."""
        with self.watch.waiting(), awaiting_others():
            yield

    @property
    def hosts(self) -> tuple[str, ...]:
        return self._hosts

    def agree(self, wish: int) -> int:
        asked = torch.tensor(wish)
        with self._together():
            dist.all_reduce(asked, dist.ReduceOp.MAX)
        return int(asked)

    def first(self, make: Callable[[], T]) -> T:
        told: list[Any] = [make() if self.rank == 0 else None]
        with self._together():
            dist.broadcast_object_list(told, 0)
        return told[0]

    def all(self, value: T) -> list[T]:
        told: list[Any] = [None] * self.world
        with self._together():
            dist.all_gather_object(told, value)
        return told

    def through(self, parts: Iterable[Batch], nets: Iterable[nn.Module]) -> Iterator[Batch]:
        self.statistics = self.statistics or Statistics(nets, self.rank, self.world)
        self.statistics.begin()
        for part in parts:
            yield part
            self.statistics.note()
        with self._together():
            self.statistics.fold()

    def sum_gradients(self, net: nn.Module, loss: Tensor) -> Tensor:
        with self._together():
            return sum_gradients(net, loss)

    def same_weights(self, digest: str) -> None:
        digests = self.all(digest)
        if other := next((rank for rank, d in enumerate(digests) if d != digests[0]), None):
            raise OutOfStep(
                f"the weights of process {other} ({self.hosts[other]}) are not those of process 0 ({self.hosts[0]}):"
                " the optimizer decides by more than gradients and its state, or the two devices round differently"
            )

    def blame(self, fault: Fault) -> Fault:
        with contextlib.suppress(RuntimeError):  # where the store died with the first process
            return msgspec.json.decode(
                self.store.compare_set("fault", "", msgspec.json.encode(fault).decode()), type=Fault
            )
        return fault

    def leave(self) -> None:
        self.agree(0)
        self.watch.close()
        dist.destroy_process_group()


ALONE = Team()


def first_fault(store: Meeting) -> Fault | None:
    """The fault that a process which met at `store` reported first, if one did."""
    with contextlib.suppress(RuntimeError):
        if store.check(["fault"]):
            return msgspec.json.decode(store.get("fault"), type=Fault)
    return None


def patience() -> timedelta:
    """How long a process waits for the others."""
    return timedelta(seconds=float(os.environ.get(TEAM_SECONDS, "600")))


def _all_come(place: Place, store: Meeting, stop: Callable[[], bool]) -> dict[int, str]:
    """The hosts of all processes by rank, once all are at `store`."""

    def missing() -> str:
        return processes([rank for rank in range(place.world) if not store.check([f"here/{rank}"])])

    with awaiting_others():
        store.set(f"here/{place.rank}", platform.node())
        if whom := until(missing, stop, patience().total_seconds()):
            raise Lost(f"{whom} did not come")
        return {rank: store.get(f"here/{rank}").decode() for rank in range(place.world)}


def meet(place: Place, *, serving: bool = True, stop: Callable[[], bool] = lambda: False) -> Meeting:
    """Where the processes of `place.world` find each other. The first one serves it, unless something else does.

    MachineError if it cannot, Lost if it cannot be reached; Preempted once `stop()` before it is.
    """
    if place.file:
        return dist.FileStore(place.file, place.world)  # type: ignore[attr-defined]
    serving = serving and place.rank == 0 and not place.served
    where = f"{place.address}:{place.port}"
    if not serving:
        until(lambda: "" if _answers(place) else f"the first process, at {where}", stop, patience().total_seconds())
    try:
        store = dist.TCPStore(  # type: ignore[attr-defined]
            place.address, place.port, None, serving, patience(), wait_for_workers=False
        )
    except RuntimeError as error:
        if serving:
            raise MachineError(f"{where} cannot be served to the other processes; set MASTER_PORT ({error})") from None
        raise Lost(f"the first process does not answer at {where} ({error})") from None
    return within(store, f"optathlon/{place.start}")


def _answers(place: Place) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((place.address, place.port), timeout=1.0):
        return True
    return False


def within(store: Meeting, name: str) -> Meeting:
    """A part of `store`, apart from others of it."""
    return dist.PrefixStore(name, store)  # type: ignore[attr-defined]


@contextlib.contextmanager
def awaiting_others() -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, Lost):
        raise
    except RuntimeError as error:  # gloo has no type of its own
        said = re.sub(r"^\[[^\]]*\] ", "", str(error) or type(error).__name__).splitlines()[0].partition(". ")[0]
        raise Lost(f"another process of the run was lost, or did not answer: {said}") from error


def on_cpu(state: Any) -> Any:
    """`state` with its tensors copied to the CPU."""
    if isinstance(state, Tensor):
        return state.detach().cpu()
    if isinstance(state, Mapping):
        return {key: on_cpu(value) for key, value in state.items()}
    return type(state)(map(on_cpu, state)) if isinstance(state, list | tuple) else state


def copied(state: Any) -> Any:
    """`state` with its tensors copied, on the CPU, so that nothing that goes on changes them."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {key: copied(value) for key, value in state.items()}
    return type(state)(map(copied, state)) if isinstance(state, list | tuple) else copy.deepcopy(state)
