"""Whether nodes that are out of service are what a job lacks, or no node would ever do."""

from __future__ import annotations

import pytest

from optathlon.slurm import nodes
from optathlon.slurm.cluster import ClusterError, Resources

SINFO = """\
node1|main*|16|64000|idle|gpu,a100|gpu:a100:2(S:0-1)|none
node2|main*|16|64000|drained|gpu,a100|gpu:a100:4(S:0-1),gpu:v100:1|fan|broken
node3|main*|64+|256000|down*|big|(null)|Not responding
node4|slow|4|8000|mixed|(null)|gpu:2,shard:8|none
node5|slow|4|8000|idle*|(null)|gpu:2|none
not a line
"""


@pytest.fixture
def cluster(monkeypatch):
    hosts = {"node[1-2]": "node1\nnode2\n", "node5": "node5\n", "node4": "node4\n"}
    monkeypatch.setattr(nodes, "ask", lambda *words: hosts[words[-1]] if words[0] == "scontrol" else SINFO)


@pytest.mark.parametrize(
    ("asked", "partition", "expected"),
    [
        ({}, None, []),
        ({"cpus": 17}, None, ["node3"]),
        ({"cpus": 65}, None, []),
        ({"cpus": 8, "processes": 9}, None, []),
        ({"memory": "100G"}, None, ["node3"]),
        ({"memory": "1T"}, None, []),
        ({"gpus": "2"}, None, []),
        ({"gpus": "3"}, None, ["node2"]),
        ({"gpus": "5"}, None, ["node2"]),
        ({"gpus": "a100:5"}, None, []),
        ({"gpus": "v100:1"}, None, ["node2"]),
        ({"gpus": "h100:1"}, None, []),
        ({"gpus": "1", "nodes": 2}, None, ["node2"]),
        ({"nodes": 3}, None, ["node2", "node3"]),
        ({"nodes": 4}, None, []),
        ({"nodes": 2}, "slow", ["node5"]),
        ({"nodes": 2, "gpus": "2"}, "slow,main", ["node2"]),
        ({"constraint": "big"}, None, ["node3"]),
        ({"constraint": "big&gpu"}, None, []),
        ({"constraint": "[a100|v100]", "gpus": "3"}, None, ["node2"]),
        ({"exclude": "node[1-2]"}, None, ["node3"]),
        ({"sbatch": {"nodelist": "node5"}}, "slow", ["node5"]),
        ({"sbatch": {"nodelist": "node4"}}, "slow", []),
        ({}, "nowhere", []),
    ],
)
def test_those_are_awaited_that_are_out_of_service_and_would_make_enough(cluster, asked, partition, expected):
    found = nodes.awaited(Resources(**asked), partition)
    assert sorted(node.name for node in found) == expected


def test_they_are_named_with_what_is_wrong_with_them(cluster):
    assert nodes.out_of_service_message(nodes.awaited(Resources(nodes=3), None)) == (
        "node2 is drained: fan|broken; node3 is down*: Not responding"
    )
    many = [nodes.Node(f"n{i}", "main", True, 1, 1, {}, frozenset(), "down") for i in range(9)]
    assert nodes.out_of_service_message(many) == "n0 is down; n1 is down; n2 is down; and 6 more"


def test_a_controller_that_does_not_answer_is_an_error(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ClusterError, match="there is no sinfo here"):
        nodes.awaited(Resources(), None)
