"""Trajectories of the official implementations, replayed: 8 steps, 6 tensors that take every branch, float64."""

import json
from pathlib import Path

import pytest
import torch

from optathlon.optimizers.rules.adabound import AdaBound
from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.adarem import AdaRem
from optathlon.optimizers.rules.adarem_s import AdaRemS
from optathlon.optimizers.rules.grassmann import SGDG, AdamG
from optathlon.optimizers.rules.sgdp import SGDP

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


def replay(case: str, build, dtype=torch.float64, **options):
    """The parameters after all steps of `case`, by name; each step is an epoch to those who count them."""
    golden = GOLDEN["cases"][case]
    start = {n: torch.tensor(GOLDEN["params0"][n], dtype=torch.float64) for n in golden["final"]}
    params = {n: p.view(GOLDEN["shapes"][n]).to(dtype).requires_grad_() for n, p in start.items()}
    optimizer = build(list(params.values()), **_ours(golden["hyperparameters"]), **options)
    for epoch, grads in enumerate(golden["grads"]):
        for name, param in params.items():
            param.grad = torch.tensor(grads[name], dtype=torch.float64).view_as(param).to(dtype)
        optimizer.step()
        if hasattr(optimizer, "epoch_end"):
            optimizer.epoch_end(epoch, None)
    return params


def _ours(hyperparameters):
    """The golden file's names of hyperparameters as ours."""
    ours = dict(hyperparameters)
    if "grassmann" in ours:
        ours |= {"manifold": ours.pop("grassmann"), "clip": ours.pop("grad_clip") or 0.0}
        if "epsilon" in ours:
            ours["eps"] = ours.pop("epsilon")
    if "scope" in ours:
        ours |= {"sphere": True, "per_tensor": ours.pop("scope") == "tensor"}
    return ours


def error(params, case: str) -> float:
    """Largest deviation from the golden end, relative to its largest element."""
    final = GOLDEN["cases"][case]["final"]
    ends = {name: torch.tensor(final[name], dtype=torch.float64).view_as(p) for name, p in params.items()}
    return max(((p.detach() - ends[n]).abs().max() / ends[n].abs().max()).item() for n, p in params.items())


def cases(prefix: str) -> list[str]:
    found = [name for name in GOLDEN["cases"] if name.startswith(prefix)]
    assert found
    return found


TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


@pytest.mark.parametrize(
    "how", [{"foreach": False}, {"foreach": True}, {"fused": True}], ids=["single", "foreach", "fused"]
)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", cases("AdamP"))
def test_adamp(case, dtype, how):
    assert error(replay(case, AdamP, dtype, **how), case) < TOLERANCE[dtype]


@pytest.mark.parametrize(
    "how", [{"foreach": False}, {"foreach": True}, {"fused": True}], ids=["single", "foreach", "fused"]
)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", cases("SGDP"))
def test_sgdp(case, dtype, how):
    assert error(replay(case, SGDP, dtype, project_buffer="aliased" in case, **how), case) < TOLERANCE[dtype]


@pytest.mark.parametrize("foreach", [False, True], ids=["single", "foreach"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", cases("AdaBound_"))
def test_adabound(case, dtype, foreach):
    assert error(replay(case, AdaBound, dtype, foreach=foreach), case) < TOLERANCE[dtype]


@pytest.mark.parametrize("how", [{}, {"foreach": True}, {"fused": True}], ids=["single", "foreach", "fused"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", cases("AdaRem_"))
def test_adarem(case, dtype, how):
    assert error(replay(case, AdaRem, dtype, **how), case) < TOLERANCE[dtype]


@pytest.mark.parametrize("case", cases("AdaRemS_"))
def test_adarem_s(case):
    """The golden file's decay has the sphere's rate, ours the unscaled one: the same only where they do not differ."""
    assert (error(replay(case, AdaRemS), case) < 1e-12) == case.endswith("slr0")


@pytest.mark.parametrize("case", [*cases("SGDG"), *cases("AdamG")])
def test_grassmann(case):
    """More rows than elements in one get no pull towards orthogonality from us."""
    params = replay(case, SGDG if case.startswith("SGDG") else AdamG)
    if "omega0.1" in case:
        assert error({"lin_layer": params.pop("lin_layer")}, case) > 1e-3
    assert error(params, case) < 1e-12
