"""torch's conventions, kept by every class of ours in every implementation it has."""

import copy
import inspect
import io
import pickle

import pytest
import torch
from torch import nn

from optathlon.optimizers.rules.adabound import AdaBound
from optathlon.optimizers.rules.adam_sgd import AdamSGD
from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.adarem import AdaRem
from optathlon.optimizers.rules.adarem_s import AdaRemS
from optathlon.optimizers.rules.grassmann import SGDG, AdamG
from optathlon.optimizers.rules.lookahead import Lookahead
from optathlon.optimizers.rules.muon import Muon
from optathlon.optimizers.rules.rmsprop_tf import RMSpropTF
from optathlon.optimizers.rules.sgdp import SGDP
from optathlon.optimizers.rules.soap import SOAP

CLASSES = (AdamP, SGDP, AdaRem, AdaRemS, AdaBound, SGDG, AdamG, AdamSGD, RMSpropTF, SOAP, Muon, Lookahead)
REAL_ONLY = (SOAP, Muon)


def ways():
    for cls in CLASSES:
        own = {SGDG: "manifold", AdamG: "manifold", AdaRemS: "sphere"}.get(cls)
        has = inspect.signature(cls).parameters
        for how in ({}, *({key: True} for key in ("foreach", "fused") if key in has)):
            for more in ({}, {own: True}) if own else ({},):
                options = {**how, **more}
                yield pytest.param(cls, options, id="-".join([cls.__name__, *options]))


EACH = pytest.mark.parametrize(("build", "how"), list(ways()))


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def step(optimizer, *params, seed=0):
    for i, p in enumerate(params):
        p.grad = normal(*p.shape, seed=100 * seed + i, dtype=p.dtype)
    optimizer.step()


def mixed(build, how):
    """Dtypes, layouts and shapes that a model may have; for torch's own base, those that it takes."""
    params = [normal(3, 4), normal(3, 4, dtype=torch.float64), normal(8, 6).t(), normal(8, 6)[:, ::2], normal(5)]
    params += [normal(4, 3, 2, 2).to(memory_format=torch.channels_last), normal(3, 4).bfloat16(), normal(5).half()]
    params += [normal(), torch.zeros(0, 4)]
    if build not in REAL_ONLY and "manifold" not in how and not (build is Lookahead and "fused" in how):
        params.append(normal(2, 3, dtype=torch.complex64))
    return [p.requires_grad_() for p in params]


@EACH
def test_one_group_may_hold_all_dtypes_layouts_and_shapes_and_is_copied_pickled_and_saved(build, how):
    params = mixed(build, how)
    optimizer = build(params, lr=0.01, **how)
    for i in range(3):
        step(optimizer, *params, seed=i)
    assert all(p.isfinite().all() for p in params)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    twins = mixed(build, how)
    restored = build(twins, lr=0.01, **how)
    with torch.no_grad():
        for twin, p in zip(twins, params, strict=True):
            twin.copy_(p)
    restored.load_state_dict(torch.load(file, weights_only=True))
    for o, ps in ((optimizer, params), (restored, twins)):
        step(o, *ps, seed=9)
    assert all(torch.equal(a, b) for a, b in zip(params, twins, strict=True))
    for copied in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        ours = [p for group in copied.param_groups for p in group["params"]]
        step(copied, *ours, seed=10)
        late = normal(2, 3, seed=1).requires_grad_()
        if "sphere" not in how:
            copied.add_param_group({"params": [late]})
            before = late.detach().clone()
            for i in range(2):
                step(copied, *ours, late, seed=i)
            assert not torch.equal(late, before)


@EACH
def test_loading_a_checkpoint_gives_groups_no_key_that_the_optimizer_does_not_have(build, how):
    weight = normal(3, 4).requires_grad_()
    optimizer = build([weight], lr=0.01, **how)
    step(optimizer, weight)
    saved = copy.deepcopy(optimizer.state_dict())
    for restored in (build([weight], lr=0.01, **how), pickle.loads(pickle.dumps(optimizer))):
        restored.load_state_dict(saved)
        (group,) = restored.state_dict()["param_groups"]
        assert group.keys() == saved["param_groups"][0].keys()
        assert restored.defaults.keys() == optimizer.defaults.keys()


@EACH
def test_a_rate_may_be_a_tensor_unless_foreach_says_otherwise(build, how):
    ends = []
    for lr in (torch.tensor(0.01), 0.01):
        param = normal(3, 4).requires_grad_()
        if torch.is_tensor(lr) and "foreach" in how and build in (AdamP, SGDP, AdaRem, AdaRemS, AdaBound):
            with pytest.raises(ValueError, match="lr as a Tensor"):
                build([param], lr=lr, **how)
            return
        optimizer = build([param], lr=lr, **how)
        for i in range(3):
            step(optimizer, param, seed=i)
        ends.append(param.detach())
    torch.testing.assert_close(*ends, rtol=1e-5, atol=1e-6)


@EACH
def test_maximize_is_descent_of_the_negative(build, how):
    ascending, two = (normal(3, 4).requires_grad_() for _ in range(2))
    up, down = build([ascending], lr=0.01, maximize=True, **how), build([two], lr=0.01, **how)
    for i in range(3):
        ascending.grad = normal(3, 4, seed=i + 1)
        two.grad = -ascending.grad
        up.step()
        down.step()
    torch.testing.assert_close(ascending, two)


@EACH
def test_parameters_may_be_frozen_and_freed_on_the_way(build, how):
    free, late = normal(3, 4).requires_grad_(), normal(3, 4, seed=1)
    optimizer = build([late, free], lr=0.01, **how)
    before = late.clone()
    for i in range(2):
        step(optimizer, free, seed=i)
    if "sphere" not in how:  # all weights on a sphere keep their common norm
        assert torch.equal(late, before)
    late.requires_grad_()
    for i in range(2):
        step(optimizer, late, free, seed=i)
    assert not torch.equal(late, before)
    free.requires_grad_(False)
    free.grad = None
    before = free.clone()
    step(optimizer, late)
    if "sphere" not in how:
        assert torch.equal(free, before)
    optimizer.zero_grad()
    optimizer.step()


@EACH
def test_torch_s_schedulers_and_gradient_scaler_work(build, how):
    param = normal(3, 4).requires_grad_()
    optimizer = build([param], lr=0.01, **how)
    cycles = "momentum" in optimizer.defaults or "betas" in optimizer.defaults
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=5, cycle_momentum=cycles)
    scaler = torch.amp.GradScaler("cpu")
    for scale in (1.0, 1.0, 1.0, float("inf")):
        before = param.detach().clone()
        optimizer.zero_grad()
        scaler.scale(param.square().sum() * scale).backward()
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
    assert torch.equal(param, before), "a step on gradients that overflowed was taken"


@EACH
def test_hooks_run_in_torch_s_order_and_what_they_load_is_loaded(build, how):
    param, twin, calls = normal(3, 4).requires_grad_(), normal(3, 4).requires_grad_(), []
    optimizer, restored = build([param], lr=0.01, **how), build([twin], lr=0.01, **how)
    optimizer.register_step_pre_hook(lambda *_: calls.append("pre"))
    optimizer.register_step_post_hook(lambda *_: calls.append("post"))
    for i in range(2):
        step(optimizer, param, seed=i)
    assert calls == ["pre", "post"] * 2
    saved = optimizer.state_dict()
    restored.register_load_state_dict_pre_hook(lambda _, given: {**given, "state": saved["state"]})
    restored.register_load_state_dict_post_hook(lambda _: calls.append("loaded"))
    restored.load_state_dict({**saved, "state": {}})
    assert calls[-1] == "loaded"
    for key, value in optimizer.state[param].items():
        assert torch.equal(torch.as_tensor(restored.state[twin][key]), torch.as_tensor(value)), key


@EACH
def test_parameters_may_be_named_and_none_may_be_there_twice(build, how):
    net = nn.Linear(3, 4)
    optimizer = build(net.named_parameters(), lr=0.01, **how)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="some parameters appear in more than one"):
        optimizer.add_param_group({"params": [("again", net.weight)]})


OURS = [way for way in ways() if way.values[0] is not Lookahead]
"""Without what is torch's SGD."""


@pytest.mark.parametrize(
    ("build", "how"), [way for way in OURS if way.values[0] not in REAL_ONLY and "manifold" not in way.values[1]]
)
def test_complex_gradients_may_be_lazy_conjugates(build, how):
    ends = []
    for resolve in (False, True):
        param = normal(3, 4, dtype=torch.complex64).requires_grad_()
        optimizer = build([param], lr=0.01, **how)
        for i in range(2):
            grad = normal(3, 4, seed=i + 1, dtype=torch.complex64).conj()
            param.grad = grad.resolve_conj() if resolve else grad
            optimizer.step()
        ends.append(param.detach())
    assert torch.equal(*ends)


@pytest.mark.parametrize(("build", "how"), OURS)
@pytest.mark.parametrize(
    ("own", "other"), [(torch.float64, torch.float32), (torch.float32, torch.bfloat16), (torch.bfloat16, torch.float32)]
)
def test_gradients_may_have_another_dtype_than_their_weights(build, how, own, other):
    ends = []
    for cast in (False, True):
        param = normal(3, 4).to(own).requires_grad_()
        if not cast:
            param.grad_dtype = other
        optimizer = build([param], lr=0.01, **how)
        for i in range(3):
            grad = normal(3, 4, seed=i + 1).bfloat16()
            param.grad = grad.to(own if cast else other)
            optimizer.step()
        ends.append(param.detach())
    assert torch.equal(*ends)


# But by Lookahead: torch's SGD takes them.
@pytest.mark.parametrize(("build", "how"), OURS)
def test_sparse_gradients_are_refused_by_name(build, how):
    net = nn.Embedding(4, 2, sparse=True)
    net(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match=f"{build.__name__} does not support sparse gradients"):
        build(net.parameters(), lr=0.1, **how).step()


def test_checkpoints_of_adabound_load_and_keep_the_base_rate():
    """`adabound` 0.0.5 counts steps in integers and keeps its base rates out of the checkpoint."""
    param, twin = normal(3, 4).requires_grad_(), normal(3, 4).requires_grad_()
    ours, theirs = AdaBound([param], lr=0.01), AdaBound([twin], lr=0.01)
    for i in range(3):
        step(ours, param, seed=i)
    with torch.no_grad():
        twin.copy_(param)
    saved = copy.deepcopy(ours.state_dict())
    saved["state"][0]["step"] = int(saved["state"][0]["step"])
    kept = ("lr", "betas", "final_lr", "gamma", "eps", "weight_decay", "amsbound", "params")
    saved["param_groups"] = [{key: group[key] for key in kept} for group in saved["param_groups"]]
    saved["param_groups"][0]["lr"] = 0.001
    theirs.load_state_dict(saved)
    ours.param_groups[0]["lr"] = 0.001
    for o, p in ((ours, param), (theirs, twin)):
        step(o, p, seed=9)
    assert torch.equal(param, twin)
