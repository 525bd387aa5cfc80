"""The Triton kernels: in Triton's interpreter they take the plain implementation's steps; for a GPU they compile."""

import os
import subprocess
import sys
import textwrap

import pytest
import torch

from optathlon.optimizers.rules.adamp import AdamP
from tests.suite.sweeps import ROOT

pytest.importorskip("triton")

SAME_STEPS = """
import torch

from optathlon.optimizers.kernels import cuda as gpu
from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.adarem import AdaRem
from optathlon.optimizers.rules.adarem_s import AdaRemS
from optathlon.optimizers.rules.sgdp import SGDP

called = []
for name in ("adamp", "sgdp", "adarem"):
    def watched(*args, run=getattr(gpu, name), name=name, **options):
        called.append(name)
        return run(*args, **options)
    setattr(gpu, name, watched)

gpu.BLOCK, gpu.ROWS = 16, 4  # so that small tensors have several chunks a row and several blocks of rows
SHAPES = ((6, 4, 3, 3), (5, 7), (3, 40), (9,), (1, 12), (0, 4))
CASES = [
    (AdamP, {"weight_decay": 0.1}),
    (AdamP, {"weight_decay": 0.1, "nesterov": True, "maximize": True, "capturable": True}),
    (AdamP, {"projection": "layer"}),
    (SGDP, {"momentum": 0.9, "weight_decay": 0.1}),
    (SGDP, {"momentum": 0.9, "nesterov": True, "dampening": 0.1}),
    (SGDP, {"momentum": 0.9, "project_buffer": True, "projection": "channel"}),
    (AdaRem, {"beta": 0.9, "weight_decay": 0.1}),
    (AdaRem, {"beta": 0.9, "eps_mode": "relative", "global_max": True, "maximize": True}),
    (AdaRemS, {"beta": 0.9, "sphere": True}),
]


def gradients(params, generator):
    for i, p in enumerate(params):
        w, g = p.detach().float(), torch.randn(p.shape, generator=generator)
        if p.ndim > 1 and p.numel() and i != 2:
            rows, wr = (t.reshape(1, -1) if i == 1 else t.flatten(1) for t in (g, w))
            g = (rows - (rows * wr).sum(1, keepdim=True) / (wr * wr).sum(1, keepdim=True) * wr).view_as(w)
        p.grad = g.to(p.dtype)


def train(build, options, dtype, **how):
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(s, generator=generator).to(dtype).requires_grad_() for s in SHAPES]
    if dtype == torch.float32:
        params[0] = params[0].detach().to(memory_format=torch.channels_last).requires_grad_()
    optimizer = build(params, lr=1e-2, **how, **options)
    for _ in range(4):
        gradients(params, generator)
        optimizer.step()
    return params, optimizer


# Not bfloat16: the interpreter cuts what a GPU rounds.
for dtype, tolerance in ((torch.float32, 4e-6), (torch.float16, 4e-3)):
    for build, options in CASES:
        called.clear()
        ours, fused = train(build, options, dtype, fused=True)
        assert called or (dtype == torch.float16 and issubclass(build, AdaRem)), (build, dtype)
        plain, loop = train(build, options, dtype, foreach=False)
        for a, b in zip(ours, plain):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
            for key, value in loop.state[b].items():
                torch.testing.assert_close(fused.state[a][key], value, rtol=tolerance, atol=tolerance)
        if hasattr(fused, "projections"):
            assert fused.projections() == loop.projections()
            assert sum(list(fused.projections().values())[1:]) > 1

weight = torch.ones(3, 4, requires_grad=True)
weight.grad = torch.ones(3, 4)
weight.grad[1, 2] = float("nan")
optimizer = AdamP([weight], fused=True)
optimizer.step()
assert weight.isnan().sum() == 1 and optimizer.projections()["none"] == 1

weight = torch.ones(300, requires_grad=True)
weight.grad = torch.ones(300)
weight.grad[200] = float("nan")
optimizer = AdaRem([weight], lr=0.1, fused=True)
optimizer.step()
assert optimizer.state[weight]["largest"].isnan() and weight.isnan().sum() == 1
print("same")
"""

KEPT_STEPS = """
import copy, io

import torch

from optathlon.optimizers.kernels import cuda as gpu
from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.adarem import AdaRem
from optathlon.optimizers.rules.kept_steps import KeepsSteps
from optathlon.optimizers.rules.sgdp import SGDP

gathered = []
for name in ("adamp", "sgdp", "adarem"):
    def watched(*args, run=getattr(gpu, name)):
        gathered.append(run)
        return run(*args)
    setattr(gpu, name, watched)

gpu.BLOCK, gpu.ROWS = 16, 4
SHAPES = ((1, 2, 1, 3), (2, 5), (3,))  # few rows: the interpreter is slow
CASES = [
    (AdamP, {"weight_decay": 0.1}),
    (AdamP, {"weight_decay": 0.1, "capturable": True, "nesterov": True, "maximize": True}),
    (SGDP, {"momentum": 0.9, "weight_decay": 0.1, "project_buffer": True}),
    (AdaRem, {"beta": 0.9, "weight_decay": 0.1}),
]


def saved_and_loaded(optimizer):
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    optimizer.load_state_dict(torch.load(file))


def channels_last(optimizer):
    p = optimizer.param_groups[0]["params"][0]
    p.data = p.data.to(memory_format=torch.channels_last)
    for key, value in optimizer.state[p].items():
        if value.ndim:
            optimizer.state[p][key] = value.to(memory_format=torch.channels_last)


def elsewhere(optimizer):
    for p in optimizer.param_groups[0]["params"]:
        p.data = p.data.clone()
        optimizer.state[p] = {k: v.clone() for k, v in optimizer.state[p].items()}


def with_ones(optimizer):
    for p in optimizer.param_groups[0]["params"]:
        for key in ("exp_avg", "momentum_buffer"):
            if key in optimizer.state[p]:
                optimizer.state[p][key] = torch.ones_like(p)


def counted_anew(optimizer):
    for p in optimizer.param_groups[0]["params"][1:]:
        if "step" in optimizer.state[p]:
            optimizer.state[p]["step"].fill_(3.0)


def at_another_rate(optimizer):
    optimizer.param_groups[0].update(lr=0.3, weight_decay=0.02)


def not_projected(optimizer):
    optimizer.param_groups[0].update(projection="off")


def with_one_more(optimizer):
    generator = torch.Generator().manual_seed(9)
    more = torch.randn(4, 4, generator=generator).requires_grad_()
    optimizer.add_param_group({"params": [more]})
    optimizer.param_groups[0]["params"].append(torch.randn(3, generator=generator).requires_grad_())


def copied(optimizer):
    other = copy.deepcopy(optimizer)
    gradients(other, 77)
    other.step()
    other.step()


def frozen(optimizer):
    optimizer.param_groups[0]["params"][1].requires_grad_(False)


FEW = (saved_and_loaded, with_ones)
CHANGES = (*FEW, elsewhere, channels_last, counted_anew, at_another_rate, not_projected, with_one_more,
           copied, frozen)


def gradients(optimizer, seed, transposed=False):
    generator = torch.Generator().manual_seed(seed)
    for p in (p for group in optimizer.param_groups for p in group["params"]):
        grad = torch.randn(p.shape, generator=generator)
        if p.ndim > 1 and seed % 3:  # so that views come and go
            g, w = grad.flatten(1), p.detach().flatten(1)
            grad = (g - (g * w).sum(1, keepdim=True) / (w * w).sum(1, keepdim=True) * w).view(p.shape)
        grad = grad.t().contiguous().t() if transposed and p.ndim == 2 else torch.empty_like(p).copy_(grad)
        p.grad = grad.detach() if p.requires_grad else None


def ends(build, options, change):
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(s, generator=generator).requires_grad_() for s in SHAPES]
    optimizer = build(params, lr=1e-2, fused=True, **options)
    for seed in range(8):
        if seed == 4:
            change(optimizer)
        gradients(optimizer, seed, transposed=seed == 3)
        optimizer.step()
        seen.append(getattr(optimizer, "projections", dict)())
    tensors = [p for group in optimizer.param_groups for p in group["params"]]
    return tensors + [v for p in tensors for v in optimizer.state[p].values()]


# The first two steps gather, and those with and after a gradient that does not fit; after some changes one more.
EXPECTED = {saved_and_loaded: 5, frozen: 5, copied: 6, with_one_more: 7}
keep_step = KeepsSteps._keep_step
for build, options in CASES:
    for change in CHANGES if build is AdamP and "nesterov" not in options else FEW[:1]:
        KeepsSteps._keep_step = keep_step
        gathered.clear()
        seen = []
        ours, few = ends(build, options, change), len(gathered)
        ours_seen, seen = seen, []
        KeepsSteps._keep_step = lambda self, group: None
        gathered.clear()
        plain, all_of_them = ends(build, options, change), len(gathered)
        expected = EXPECTED.get(change, 4)
        assert few == expected < all_of_them, (build, change, few, expected, all_of_them)
        assert ours_seen == seen, (ours_seen, seen)
        assert build is AdaRem or change is not with_ones or len({tuple(each.values()) for each in seen}) > 1
        for a, b in zip(ours, plain, strict=True):
            assert torch.equal(a, b), (build, options, change)
print("same")
"""

COMPILES = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from optathlon.optimizers.kernels import cuda as gpu
from optathlon.optimizers.kernels import triton_kernels as kernels

INTS = {name: "*i64" for name in ("chunks", "pointers", "grads", "shapes")}
FLOATS = {name: "*fp32" for name in ("scalars", "sums", "parts", "layers", "views", "rates", "largest")}
POINTERS = {**INTS, **FLOATS, "limits": "*fp64", "tops": "*i32", "count": "i32"}
CONSTANTS = {"BLOCK": gpu.BLOCK, "ROWS": gpu.ROWS}
CASES = [
    *((k, {"ADAM": a, "KEPT": not a, "DTYPE": d})
      for k in (kernels.advance, kernels.descend) for a in (True, False) for d in gpu.DTYPES.values()),
    (kernels.decide, {"PROJECTION": 0}),
    *((kernels.adarem, {"RELATIVE": r, "DTYPE": d}) for r in (True, False) for d in gpu.DTYPES.values()),
]
for kernel, options in CASES:
    constants = {k: v for k, v in {**CONSTANTS, **options}.items() if k in kernel.arg_names}
    signature = {n: "constexpr" if n in constants else POINTERS.get(n, "fp32") for n in kernel.arg_names}
    values = {(kernel.arg_names.index(k),): v for k, v in constants.items()}
    source = ASTSource(fn=kernel, signature=signature, constexprs=values)
    code = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    assert "cubin" in code.asm
print("compiled")
"""


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.mark.slow
def test_the_kernels_take_the_plain_implementation_s_steps():
    done = run(SAME_STEPS, TRITON_INTERPRET="1")
    assert done.stdout.split() == ["same"], done.stderr[-3000:]


@pytest.mark.slow
def test_a_step_prepared_before_is_the_one_that_gathers_all_anew_bit_for_bit_whatever_has_changed():
    done = run(KEPT_STEPS, TRITON_INTERPRET="1")
    assert done.stdout.split() == ["same"], done.stderr[-3000:]


@pytest.mark.slow
def test_the_kernels_compile_for_a_gpu_without_one(tmp_path):
    done = run(COMPILES, TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))
    assert done.stdout.split() == ["compiled"], done.stderr[-3000:]


@pytest.mark.slow
def test_without_triton_the_plain_implementation_runs_and_only_asking_for_the_fused_one_on_a_gpu_fails():
    code = """
    import sys
    sys.modules["triton"] = None
    import os, torch
    from optathlon.optimizers.rules.adamp import AdamP
    weight = torch.ones(3, 4, requires_grad=True)
    weight.grad = torch.ones(3, 4)
    for fused in (None, True):
        AdamP([weight], fused=fused).step()
    os.environ["TRITON_INTERPRET"] = "1"
    AdamP([weight]).step()
    try:
        AdamP([weight], fused=True).step()
    except RuntimeError as error:
        print(error)
    """
    done = run(code)
    assert "needs Triton" in done.stdout, done.stderr
    assert "leave fused out" in done.stdout


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("capturable", [False, True])
def test_on_a_gpu_the_fused_step_is_the_foreach_one(capturable):
    def ends(**how):
        generator = torch.Generator().manual_seed(0)
        params = [
            torch.randn(s, generator=generator).cuda().requires_grad_() for s in ((64, 32, 3, 3), (300, 2000), (7,))
        ]
        optimizer = AdamP(params, lr=1e-2, weight_decay=0.1, capturable=capturable, **how)
        for _ in range(5):
            for p in params:
                p.grad = torch.randn(p.shape, generator=generator).cuda()
            optimizer.step()
        return params

    for a, b in zip(ends(fused=True), ends(foreach=True), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
