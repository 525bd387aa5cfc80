"""Parameters sharded by rows over processes, as FSDP2 does, unevenly: the same steps as one process takes."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

from optimizers.adamp import AdamP
from optimizers.adarem import AdaRem
from optimizers.sgdp import SGDP

MIXED = [
    (AdamP, {"weight_decay": 0.1}),
    (AdamP, {"projection": "layer", "nesterov": True}),
    (SGDP, {"momentum": 0.9, "weight_decay": 0.1}),
    (SGDP, {"momentum": 0.9, "project_buffer": True}),
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
    dist.destroy_process_group()


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
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=environment)
    assert done.returncode == 0, done.stderr
