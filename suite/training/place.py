"""Which of several processes this one is: told by torchrun, by Slurm, or by the process that forked it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from optathlon.slurm import slots
from optathlon.suite.errors import MachineError
from optathlon.tasks import Protocol

PORTS = range(20000, 60000)


@dataclass(frozen=True)
class Place:
    """One process of several that train a run together, and where they all meet."""

    rank: int
    world: int
    """How many processes there are on all machines."""
    local_rank: int
    """Its number among the processes of its machine, which picks its GPU."""
    address: str = ""
    """Of the first process or, if `served`, of torchrun's agent."""
    port: int = 0
    served: bool = False
    """Whether torchrun's agent keeps the store at which the processes meet."""
    file: str = ""
    """One that all processes of one machine share; instead of address and port."""
    start: str = "0"
    """How often the same processes were started before."""


def environment(variables: Mapping[str, str] = os.environ) -> Place | None:
    """This process's place among those that torchrun or srun (also under submitit) started; None if it is alone.

    MachineError if only a part of the variables is there.
    """
    try:
        return _of_torchrun(variables) or _of_slurm(variables)
    except KeyError as missing:
        raise MachineError(f"{missing.args[0]} is not set, but others of a run on several processes are") from None
    except ValueError as wrong:
        raise MachineError(f"the environment of a run on several processes: {wrong}") from None


def _of_torchrun(env: Mapping[str, str]) -> Place | None:
    if int(env.get("WORLD_SIZE", "1")) < 2:
        return None
    return Place(
        rank=int(env["RANK"]),
        world=int(env["WORLD_SIZE"]),
        local_rank=int(env["LOCAL_RANK"]),
        address=env["MASTER_ADDR"],
        port=int(env["MASTER_PORT"]),
        served=env.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        start=env.get("TORCHELASTIC_RESTART_COUNT", "0"),
    )


def _of_slurm(env: Mapping[str, str]) -> Place | None:
    """A task of a job step. A batch script knows SLURM_NTASKS too, but is alone: only srun gives a step's number."""
    tasks = int(env.get("SLURM_STEP_NUM_TASKS") or env.get("SLURM_NTASKS") or "1")
    if "SLURM_STEP_ID" not in env or tasks < 2:
        return None
    job = int(env["SLURM_JOB_ID"])
    return Place(
        rank=int(env["SLURM_PROCID"]),
        world=tasks,
        local_rank=int(env["SLURM_LOCALID"]),
        address=env.get("MASTER_ADDR") or _address(env),
        port=int(env.get("MASTER_PORT") or PORTS[(job * 16 + int(env["SLURM_STEP_ID"])) % len(PORTS)]),
        start=env.get("SLURM_RESTART_COUNT", "0"),
    )


def _address(env: Mapping[str, str]) -> str:
    """Where the first task of a job step is: on the first node."""
    if env.get("SLURM_STEP_NUM_NODES") == "1":
        return "127.0.0.1"
    host = first_host(env.get("SLURM_STEP_NODELIST") or env["SLURM_JOB_NODELIST"])
    try:
        socket.getaddrinfo(host, None)
    except OSError:  # a node's name need not be a host's; in a batch job srun runs on the first node
        return env.get("SLURM_SRUN_COMM_HOST", host)
    return host


def first_host(nodes: str) -> str:
    """The first of a Slurm host list: "gpu-[07-09,12],login" begins with gpu-07."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])+", nodes)
    if first is None:
        raise ValueError(f"{nodes!r} is no list of hosts")
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", first[0])


def unshareable(protocol: Protocol, world: int) -> str | None:
    """Why `world` processes cannot share the updates of `protocol`, whose parts are its micro-batches; else None."""
    if protocol.micro_batches % world == 0:
        return None
    micro_batches = f"an update of {protocol.batch} in micro-batches of {protocol.micro_batch_size}"
    refusal = f"{micro_batches} cannot be shared by {world} processes"
    if protocol.batch % world:
        return f"{refusal}; take a number of processes that divides the batch"
    fitting = f"protocol.micro_batch={protocol.batch // world}"
    return f"{refusal}; {fitting} can, as a problem of its own (batch statistics are a micro-batch's)"


def gpu(place: Place) -> dict[str, str]:
    """The environment that shows this process its GPU only: the one of its local rank, or the one it was given.

    Empty on a machine without GPUs. MachineError if there are fewer than processes.
    """
    if not (gpus := slots.visible_gpus()):
        return {}
    if len(gpus) > 1 and place.local_rank >= len(gpus):
        raise MachineError(f"process {place.local_rank} of this machine has no GPU: it sees {len(gpus)}")
    return {"CUDA_VISIBLE_DEVICES": gpus[0] if len(gpus) == 1 else gpus[place.local_rank]}
