"""The nodes of a Slurm cluster, in service or not, and whether a job could run on them if all were."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from optathlon.slurm.cluster import Resources
from optathlon.slurm.site import ask

OUT = ("down", "drain", "fail", "maint", "reboot", "unk", "inval", "future", "boot_fail")
"""How sinfo's states of nodes begin that take no jobs."""

UNITS = {"K": 2**-10, "M": 1.0, "G": 2.0**10, "T": 2.0**20}
"""sbatch's units of memory, in MB."""

SHOWN = 3
"""How many nodes a message names."""


@dataclass(frozen=True)
class Node:
    """A node as it is configured, in one of its partitions."""

    name: str
    partition: str
    default: bool
    """Whether the partition is the default one."""
    cpus: int
    memory: int
    """In MB."""
    gpus: dict[str, int]
    """How many, by type; under "" of all types together."""
    features: frozenset[str]
    out: str
    """Why it is out of service, in sinfo's words; "" for a node that is in service."""


def nodes() -> list[Node]:
    """Returns every node, once per partition that it is in. Raises ClusterError."""
    lines = [
        line.split("|", 7) for line in ask("sinfo", "-a", "-h", "-N", "-o", "%N|%P|%c|%m|%T|%f|%G|%E").splitlines()
    ]
    return [_node(*fields) for fields in lines if len(fields) == 8]


def _node(name: str, partition: str, cpus: str, memory: str, state: str, features: str, gres: str, why: str) -> Node:
    gpus: dict[str, int] = defaultdict(int)
    for kind, count in re.findall(r"\bgpu(?::([^:(),]+))??:(\d+)", gres):
        gpus[""] += int(count)
        if kind:
            gpus[kind] += int(count)
    out = state.startswith(OUT) or state.endswith("*")  # it does not answer
    return Node(
        name=name,
        partition=partition.rstrip("*"),
        default=partition.endswith("*"),
        cpus=_whole(cpus),
        memory=_whole(memory),
        gpus=dict(gpus),
        features=frozenset(features.split(",")),
        out=f"{state}{'' if why in ('none', '') else f': {why}'}" if out else "",
    )


def awaited(asked: Resources, partition: str | None) -> list[Node]:
    """Returns the nodes out of service that a job waits for: with them enough nodes fit `asked`, without them too few.

    partition: several with commas, of which one suffices; None: the default one. Empty where even all nodes would be
    too few. Constraints other than features with & are taken for fulfilled. Raises ClusterError.
    """
    partitions = set(partition.split(",")) if partition else set()
    named, excluded = asked.sbatch.get("nodelist"), asked.exclude
    only, without = _hosts(str(named)) if named else set(), _hosts(excluded) if excluded else set()
    fitting: dict[str, list[Node]] = defaultdict(list)
    for node in nodes():
        eligible = node.partition in partitions if partitions else node.default
        if eligible and node.name not in without and (not only or node.name in only) and _fits(node, asked):
            fitting[node.partition].append(node)
    least = max(asked.nodes, len(only))
    for candidates in fitting.values():
        out = [node for node in candidates if node.out]
        if len(candidates) - len(out) < least <= len(candidates):
            return out
    return []


def out_of_service_message(out: Iterable[Node]) -> str:
    """Says which nodes are out of service and why, the first SHOWN by name."""
    lines = [f"{node.name} is {node.out}" for node in out]
    return "; ".join(lines[:SHOWN]) + (f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else "")


def _fits(node: Node, asked: Resources) -> bool:
    kind, _, count = (asked.gpus or "0").rpartition(":")
    if node.cpus < asked.processes * asked.cpus or node.gpus.get(kind, 0) < int(count):
        return False
    if asked.memory and node.memory < _megabytes(asked.memory):
        return False
    plain = re.fullmatch(r"[\w.-]+(&[\w.-]+)*", asked.constraint or "")
    return plain is None or node.features.issuperset(plain[0].split("&"))


def _megabytes(memory: str) -> float:
    """Returns the megabytes of a size as sbatch reads it: "32G", "900MB"."""
    number, unit = re.fullmatch(r"(\d+)([KMGT]?)B?", memory).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit or "M"]


def _whole(text: str) -> int:
    """Returns sinfo's number; a "+" behind it says that some nodes have more."""
    return int(text.rstrip("+")) if text.rstrip("+").isdecimal() else 0


def _hosts(names: str) -> set[str]:
    """Expands Slurm's list of nodes, such as node[1-3]."""
    return set(ask("scontrol", "show", "hostnames", names).split())
