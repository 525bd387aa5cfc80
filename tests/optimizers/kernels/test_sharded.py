"""Parameters sharded by rows over processes, as FSDP2 does, unevenly: the same steps as one process takes."""

import os
import subprocess
import sys

import pytest

from tests.suite.sweeps import ROOT

SCRIPT = """
import os
import sys

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.adarem import AdaRem
from optathlon.optimizers.rules.adarem_s import AdaRemS
from optathlon.optimizers.rules.sgdp import SGDP

MIXED = [
    (AdamP, {"weight_decay": 0.1}),
    (AdamP, {"projection": "layer", "nesterov": True}),
    (SGDP, {"momentum": 0.9, "weight_decay": 0.1}),
    (SGDP, {"momentum": 0.9, "project_buffer": True}),
]
MOMENTA = [
    (AdaRem, {"weight_decay": 0.1}),
    (AdaRem, {"foreach": True, "eps_mode": "relative"}),
    (AdaRem, {"fused": True, "global_max": True}),
    (AdaRemS, {"sphere": True, "weight_decay": 0.1}),
    (AdaRemS, {"sphere": True, "per_tensor": True, "foreach": True}),
]
NETWORKS = [
    (AdamP, {"weight_decay": 0.1}),
    (AdamP, {"foreach": True, "capturable": True}),
    (SGDP, {"momentum": 0.9}),
    (AdaRem, {"beta": 0.9, "fused": True}),
]
CASES = [(AdamP, {}), (AdamP, {"foreach": True}), (SGDP, {"momentum": 0.9}), (SGDP, {"foreach": True}), (AdaRem, {})]


def work(rank, file):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    for build, options in CASES:
        generator = torch.Generator().manual_seed(0)
        weight, *grads = (torch.randn(7, 6, dtype=torch.float64, generator=generator) for _ in range(6))
        grads[-1] -= (grads[-1] * weight).sum(1, keepdim=True) / weight.square().sum(1, keepdim=True) * weight
        whole = weight.clone().requires_grad_()
        sharded = torch.nn.Parameter(distribute_tensor(weight.clone(), mesh, [Shard(0)]))
        optimizers = [build([p], lr=1e-6, **options) for p in (whole, sharded)]
        for grad in grads:
            whole.grad, sharded.grad = grad.clone(), distribute_tensor(grad.clone(), mesh, [Shard(0)])
            for optimizer in optimizers:
                optimizer.step()
        assert sharded.to_local().shape[0] == (4, 3)[rank]
        torch.testing.assert_close(sharded.full_tensor(), whole, rtol=1e-14, atol=1e-14)
        if build is not AdaRem:
            assert optimizers[0].state[whole]["view"] == 1, "the last gradient is orthogonal by row"
            assert optimizers[1].projections() == {"none": 0, "channel": 1, "layer": 0}
    for build, options in MIXED:
        mixed(rank, mesh, build, options)
    for build, options in MOMENTA:
        momenta(rank, mesh, build, options)
    for build, options in NETWORKS:
        network(mesh, build, options)
    dist.destroy_process_group()
    os._exit(0)  # without torch's threads, which now and then abort a process that leaves


def network(mesh, build, options):
    # fully_shard and its checkpoints: making the state for one takes a step at rate zero, which must move nothing.
    def made():
        torch.manual_seed(0)
        layers = (nn.Conv2d(2, 5, 3, bias=False), nn.GroupNorm(5, 5), nn.Flatten(), nn.Linear(80, 7), nn.LayerNorm(7))
        return nn.Sequential(*layers).double()

    whole, spread = made(), fully_shard(made(), mesh=mesh)
    one, two = (build(net.parameters(), lr=1e-2, **options) for net in (whole, spread))
    get_optimizer_state_dict(spread, build(spread.parameters(), lr=1e-2, **options))
    for step in range(4):
        torch.manual_seed(step + 1)
        inputs, targets = torch.randn(6, 2, 6, 6).double(), torch.randn(6, 7).double()
        for p, q in zip(whole.parameters(), spread.parameters()):
            torch.testing.assert_close(q.full_tensor(), p, rtol=1e-12, atol=1e-12)
        if step:
            set_optimizer_state_dict(spread, two, get_optimizer_state_dict(spread, two))
        for net, optimizer in ((whole, one), (spread, two)):
            optimizer.zero_grad()
            (net(inputs) - targets).square().mean().backward()
            optimizer.step()
    if build is not AdaRem:
        assert one.projections() == two.projections()
        assert one.projections()["channel"] > 0


def momenta(rank, mesh, build, options):
    # A row on one rank only, a vector, a plain tensor beside, one cut by columns, and a NaN: one maximum a step.
    generator = torch.Generator().manual_seed(0)
    shapes, cuts = ((7, 6), (1, 9), (3,), (4, 2), (3, 5)), (0, 0, 0, None, 1)
    whole = [torch.randn(s, dtype=torch.float64, generator=generator).requires_grad_() for s in shapes]

    def spread_out(tensor, cut):
        return tensor.clone() if cut is None else distribute_tensor(tensor.clone(), mesh, [Shard(cut)])

    spread = [torch.nn.Parameter(spread_out(p.detach(), c)) for p, c in zip(whole, cuts)]
    one, two = (build(params, lr=1e-2, beta=0.9, **options) for params in (whole, spread))
    calls, plain = [], dist.all_reduce
    for step in range(5):
        for p, q, cut in zip(whole, spread, cuts):
            p.grad = torch.randn(p.shape, dtype=torch.float64, generator=generator)
            if step == 3 and build is AdaRem and p.shape == (3,):
                p.grad[2] = float("nan")
            q.grad = spread_out(p.grad, cut)
        one.step()
        dist.all_reduce = lambda *a, **k: (calls.append(a[1]), plain(*a, **k))
        two.step()
        dist.all_reduce = plain
        for p, q in zip(whole, spread):
            q_whole = q.full_tensor() if hasattr(q, "full_tensor") else q
            if build is AdaRem:
                assert torch.equal(q_whole.nan_to_num(9.0), p.nan_to_num(9.0)), "not a bit differs"
                assert torch.equal(one.state[p]["largest"].nan_to_num(9.0), two.state[q]["largest"].nan_to_num(9.0))
            else:
                torch.testing.assert_close(q_whole, p, rtol=1e-12, atol=1e-12)
    assert calls.count(dist.ReduceOp.MAX) == 6, "one a step, and one for the start"
    assert whole[2].isnan().any() == (build is AdaRem)


def mixed(rank, mesh, build, options):
    # All views at once, a vector, and a tensor of which one rank has no row: one all-reduce a step.
    generator = torch.Generator().manual_seed(0)
    shapes = ((7, 6), (5, 4, 2), (1, 9), (4, 3), (3,))
    whole = [torch.randn(s, dtype=torch.float64, generator=generator).requires_grad_() for s in shapes]
    spread = [torch.nn.Parameter(distribute_tensor(p.detach().clone(), mesh, [Shard(0)])) for p in whole]
    assert spread[2].to_local().shape[0] == (1, 0)[rank]
    one, two = (build(params, lr=1e-2, **options) for params in (whole, spread))
    calls = []
    plain = dist.all_reduce
    for _ in range(5):
        for i, (p, q) in enumerate(zip(whole, spread)):
            w, g = p.detach(), torch.randn(p.shape, dtype=torch.float64, generator=generator)
            if i in (0, 2):
                g -= (g * w).sum(1, keepdim=True) / w.square().sum(1, keepdim=True) * w
            elif i == 1:
                g -= (g * w).sum() / w.square().sum() * w
            elif i == 3:
                g += w
            p.grad, q.grad = g, distribute_tensor(g.clone(), mesh, [Shard(0)])
        one.step()
        dist.all_reduce = lambda *a, **k: (calls.append(1), plain(*a, **k))
        two.step()
        dist.all_reduce = plain
        for p, q in zip(whole, spread):
            torch.testing.assert_close(q.full_tensor(), p, rtol=1e-12, atol=1e-12)
        assert one.projections() == two.projections(), (one.projections(), two.projections())
        assert sum(list(one.projections().values())[1:]) >= 2
    assert len(calls) == 5, "one all-reduce a step"


if __name__ == "__main__":
    mp.spawn(work, args=(sys.argv[1],), nprocs=2)
"""


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path):
    script = tmp_path / "sharded.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tmp_path / "store")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
