"""The nodes of a Slurm cluster, in service or not, and whether a job could run on them if all were."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from optathlon.slurm.cluster import Resources
from optathlon.slurm.site import ask

OUT = ("down", "drain", "fail", "maint", "reboot", "unk", "inval", "future", "boot_fail")
UNITS = {"K": 2**-10, "M": 1.0, "G": 2.0**10, "T": 2.0**20}
SHOWN = 3


@dataclass(frozen=True)
class Node:
    """A node as it is configured, in one of its partitions. memory: in MB. gpus: by type, "" for all. out: why it is
    out of service, in sinfo's words; "" for a node that is in service."""

    name: str
    partition: str
    default: bool
    cpus: int
    memory: int
    gpus: dict[str, int]
    features: frozenset[str]
    out: str


def nodes() -> list[Node]:
    """Every node, once for each partition that it is in. Raises ClusterError."""
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
    """Nodes out of service without which not enough would do for `asked` in `partition` (or one of several with
    commas, or the default), and with which there would be enough; none where there never are. Raises ClusterError.

    Constraints other than features with & are taken for fulfilled.
    """
    wanted = set(partition.split(",")) if partition else set()
    named, excluded = asked.sbatch.get("nodelist"), asked.exclude
    only, without = _hosts(str(named)) if named else set(), _hosts(excluded) if excluded else set()
    fitting: dict[str, list[Node]] = defaultdict(list)
    for node in nodes():
        here = node.partition in wanted if wanted else node.default
        if here and node.name not in without and (not only or node.name in only) and _fits(node, asked):
            fitting[node.partition].append(node)
    least = max(asked.nodes, len(only))
    for found in fitting.values():
        out = [node for node in found if node.out]
        if len(found) - len(out) < least <= len(found):
            return out
    return []


def told(found: Iterable[Node]) -> str:
    """The nodes `found` and why they are out of service, the first ones by name."""
    each = [f"{node.name} is {node.out}" for node in found]
    return "; ".join(each[:SHOWN]) + (f"; and {len(each) - SHOWN} more" if len(each) > SHOWN else "")


def _fits(node: Node, asked: Resources) -> bool:
    kind, _, count = (asked.gpus or "0").rpartition(":")
    if node.cpus < asked.processes * asked.cpus or node.gpus.get(kind, 0) < int(count):
        return False
    if asked.memory and node.memory < _megabytes(asked.memory):
        return False
    plain = re.fullmatch(r"[\w.-]+(&[\w.-]+)*", asked.constraint or "")
    return plain is None or node.features.issuperset(plain[0].split("&"))


def _megabytes(memory: str) -> float:
    """What sbatch takes for so much memory: "32G", "900MB"."""
    number, unit = re.fullmatch(r"(\d+)([KMGT]?)B?", memory).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit or "M"]


def _whole(text: str) -> int:
    """sinfo's number, of which "+" says that there may be more."""
    return int(text.rstrip("+")) if text.rstrip("+").isdecimal() else 0


def _hosts(names: str) -> set[str]:
    """The nodes that Slurm's list `names` means, node[1-3]."""
    return set(ask("scontrol", "show", "hostnames", names).split())
