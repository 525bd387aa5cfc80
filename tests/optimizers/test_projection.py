"""SGDP and AdamP: equal to the official package, and right where it is not."""

import copy
import math

import pytest
import torch
from torch import nn

from optimizers.adamp import AdamP
from optimizers.sgdp import SGDP

HOW = pytest.mark.parametrize(
    "how", [{"foreach": False}, {"foreach": True}, {"fused": True}], ids=["single", "foreach", "fused"]
)
SHAPES = {
    "conv": (8, 4, 3, 3),
    "layer": (6, 10),
    "free": (5, 7),
    "transposed": (4, 6, 2, 2),
    "grouped": (8, 1, 3, 3),
    "gain": (9, 1),
    "one_row": (1, 12),
    "bias": (8,),
    "scalar": (),
    "zero_rows": (4, 5),
    "zero": (3, 4),
}


def start(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    params = {n: torch.randn(s, dtype=torch.float64, generator=generator).to(dtype) for n, s in SHAPES.items()}
    params["zero"].zero_()
    params["zero_rows"][2:] = 0
    return {name: p.requires_grad_() for name, p in params.items()}


def gradients(params, generator):
    """Random ones: orthogonal to the weight by channel, as a whole only, or not at all, by name."""
    for name, p in params.items():
        w = p.detach().double()
        g = torch.randn(w.shape, dtype=torch.float64, generator=generator)
        if name in ("conv", "grouped", "one_row"):
            rows, wr = g.flatten(1), w.flatten(1)
            rows -= (rows * wr).sum(1, keepdim=True) / (wr * wr).sum(1, keepdim=True) * wr
        elif name in ("layer", "transposed"):
            g -= (g * w).sum() / (w * w).sum() * w
        elif name == "free":
            g += w
        p.grad = g.to(p.dtype)


def train(optimizer_class, steps=50, dtype=torch.float64, seed=1, **options):
    params = start(dtype)
    optimizer = optimizer_class(list(params.values()), **options)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        gradients(params, generator)
        optimizer.step()
    return params, optimizer


def distance(ours, theirs) -> float:
    return max(((p - theirs[n]).abs().max() / theirs[n].abs().max().clamp_min(1)).item() for n, p in ours.items())


@HOW
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("more", [{}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "wd_ratio": 0.5, "delta": 0.3}])
def test_adamp_equals_the_official_package(how, nesterov, more):
    official = pytest.importorskip("adamp").AdamP
    options = {"lr": 1e-2, "nesterov": nesterov, **more}
    ours, optimizer = train(AdamP, **how, **options)
    theirs, _ = train(official, **options)
    assert distance(ours, theirs) < 1e-12
    views = {n: int(optimizer.state[p]["view"]) for n, p in ours.items() if "view" in optimizer.state[p]}
    assert views["conv"] == views["grouped"] == views["one_row"] == 1
    assert views["layer"] == views["transposed"] == 2
    assert views["free"] == 0
    assert optimizer.projections() == {
        v: list(views.values()).count(i) for i, v in enumerate(("none", "channel", "layer"))
    }


@HOW
@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-2},
        {"momentum": 0.9, "nesterov": True, "dampening": 0.1},
        {"momentum": 0.9, "project_buffer": True, "weight_decay": 1e-2},
        {"momentum": 0.0, "project_buffer": True, "wd_ratio": 0.3, "weight_decay": 1e-2},
    ],
)
def test_sgdp_equals_the_official_package(how, options):
    official = pytest.importorskip("adamp").SGDP
    ours, _ = train(SGDP, lr=1e-2, **how, **options)
    theirs, _ = train(official, lr=1e-2, **{k: v for k, v in options.items() if k != "project_buffer"})
    assert distance(ours, theirs) < 1e-12


def test_algorithm_1_is_not_what_the_official_package_does_to_its_momentum():
    literal, _ = train(SGDP, lr=1e-2, momentum=0.9)
    released, _ = train(SGDP, lr=1e-2, momentum=0.9, project_buffer=True)
    assert distance(literal, released) > 1e-2


@HOW
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adamp_that_never_projects_is_adamw(how, weight_decay):
    adamw, _ = train(torch.optim.AdamW, lr=1e-2, weight_decay=weight_decay)
    for never in ({"delta": 0.0}, {"projection": "off"}):
        ours, _ = train(AdamP, lr=1e-2, weight_decay=weight_decay, **how, **never)
        assert distance(ours, adamw) < 1e-12


@HOW
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgdp_that_never_projects_is_sgd(how, nesterov):
    ours, _ = train(SGDP, lr=1e-2, momentum=0.9, nesterov=nesterov, delta=0.0, **how)
    theirs, _ = train(torch.optim.SGD, lr=1e-2, momentum=0.9, nesterov=nesterov)
    assert distance(ours, theirs) < 1e-12


@HOW
@pytest.mark.parametrize(("optimizer_class", "more"), [(AdamP, {}), (SGDP, {"momentum": 0.9})])
def test_a_projected_row_grows_by_the_square_of_its_step(how, optimizer_class, more):
    """Equation 12: |w'|^2 = |w|^2 + lr^2 |q|^2; w' - w is -lr q."""
    params = {"conv": start()["conv"]}
    optimizer = optimizer_class(params.values(), lr=0.1, **how, **more)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        before = params["conv"].detach().clone().flatten(1)
        gradients(params, generator)
        optimizer.step()
        after = params["conv"].detach().flatten(1)
        grown = before.square().sum(1) + (after - before).square().sum(1)
        torch.testing.assert_close(after.square().sum(1), grown, rtol=1e-8, atol=0)


@HOW
def test_one_row_over_the_limit_turns_the_channel_test_off_and_the_limit_itself_does_not_pass(how):
    def view(grad, **options):
        weight = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64).requires_grad_()
        weight.grad = torch.tensor(grad, dtype=torch.float64)
        optimizer = AdamP([weight], **how, **options)
        optimizer.step()
        return int(optimizer.state[weight]["view"])

    assert view([[0.0, 1.0], [0.0, 1.0]]) == 1
    assert view([[0.5, 1.0], [-0.5, 1.0]]) == 2
    assert view([[0.5, 1.0], [0.5, 1.0]]) == 0
    assert view([[1.0, 0.0], [0.0, 0.0]], delta=math.sqrt(2)) == 2, "strictly below 1 / sqrt(2) by layer"
    assert view([[1.0, 0.0], [1.0, 0.0]], delta=math.sqrt(2)) == 0, "|cosine| 1 is not below sqrt(2) / sqrt(2)"
    assert view([[-1.0, 1.0], [-1.0, 1.0]]) == 0, "the cosine counts without its sign"
    assert view([[math.nan, 1.0], [0.0, 1.0]]) == 0
    assert view([[0.0, 0.0], [0.0, 0.0]]) == 1


@HOW
def test_zero_weights_and_zero_gradients_count_as_projected_for_the_decay(how):
    weight = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    weight.grad = torch.zeros_like(weight)
    AdamP([weight], lr=1.0, weight_decay=0.5, wd_ratio=0.1, **how).step()
    torch.testing.assert_close(weight.detach(), torch.full_like(weight, 0.95), rtol=0, atol=1e-15)


@HOW
def test_a_nan_costs_its_own_element_only(how):
    weight = torch.ones(2, 3, requires_grad=True)
    weight.grad = torch.tensor([[math.nan, 1.0, -1.0], [0.0, 1.0, -1.0]])
    AdamP([weight], **how).step()
    assert weight.isnan().tolist() == [[True, False, False], [False, False, False]]


@HOW
def test_the_channel_of_a_transposed_convolution_is_named_by_its_group(how):
    weight = torch.randn(4, 6, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    twin = weight.transpose(0, 1).contiguous().requires_grad_()
    weight.requires_grad_()
    gradients({"conv": twin}, torch.Generator().manual_seed(1))
    weight.grad = twin.grad.transpose(0, 1).contiguous()
    optimizer = AdamP([{"params": [weight], "channel_dim": 1}], lr=0.1, **how)
    optimizer.step()
    AdamP([twin], lr=0.1, **how).step()
    assert optimizer.projections()["channel"] == 1
    torch.testing.assert_close(weight.detach(), twin.detach().transpose(0, 1), rtol=1e-13, atol=1e-15)


@HOW
def test_a_group_may_choose_its_view(how):
    def views(projection):
        _, optimizer = train(AdamP, steps=1, **how, projection=projection)
        return optimizer.projections()

    auto = views("auto")
    assert views("channel")["layer"] == 0
    assert views("channel")["channel"] == auto["channel"]
    assert views("layer")["channel"] == 0
    assert views("layer")["layer"] >= auto["layer"]
    assert views("off") == {"none": 0, "channel": 0, "layer": 0}


@HOW
@pytest.mark.parametrize(("optimizer_class", "more"), [(AdamP, {}), (SGDP, {"momentum": 0.9})])
def test_channels_last_weights_keep_their_layout_and_take_the_same_steps(how, optimizer_class, more):
    params = {"conv": start()["conv"]}
    last = {"conv": params["conv"].detach().clone(memory_format=torch.channels_last).requires_grad_()}
    for ps in (params, last):
        optimizer, generator = (
            optimizer_class(ps.values(), lr=1e-2, **how, **more),
            torch.Generator().manual_seed(0),
        )
        for _ in range(5):
            gradients(ps, generator)
            optimizer.step()
    assert last["conv"].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last["conv"], params["conv"], rtol=1e-12, atol=1e-12)


@HOW
@pytest.mark.parametrize(("optimizer_class", "more"), [(AdamP, {}), (SGDP, {"momentum": 0.9})])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_have_full_precision_state_and_sums(how, optimizer_class, more, dtype):
    params, optimizer = train(optimizer_class, steps=10, dtype=dtype, lr=1e-2, **how, **more)
    full, _ = train(optimizer_class, steps=10, dtype=torch.float64, lr=1e-2, **more)
    assert distance(params, full) < 3e-2
    assert all(v.dtype == torch.float32 for s in optimizer.state.values() for v in s.values())
    assert {p.dtype for p in params.values()} == {dtype}
    restored = optimizer_class(list(params.values()), lr=1e-2)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for param in params.values():
        for key, value in optimizer.state[param].items():
            assert restored.state[param][key].dtype == torch.float32
            assert torch.equal(restored.state[param][key], value), key


@HOW
def test_tiny_half_precision_gradients_leave_finite_weights(how):
    weight = torch.ones(4, 4, dtype=torch.float16, requires_grad=True)
    weight.grad = torch.full_like(weight, 1e-5)
    AdamP([weight], **how).step()
    assert weight.isfinite().all()


@HOW
@pytest.mark.parametrize(("optimizer_class", "more"), [(AdamP, {}), (SGDP, {"momentum": 0.9})])
def test_a_step_at_rate_zero_moves_nothing_but_makes_the_state(how, optimizer_class, more):
    params = start()
    before = {n: p.detach().clone() for n, p in params.items()}
    optimizer = optimizer_class(params.values(), lr=0.0, weight_decay=0.1, **how, **more)
    gradients(params, torch.Generator().manual_seed(0))
    optimizer.step()
    assert all(torch.equal(p, before[n]) for n, p in params.items())
    assert len(optimizer.state) == len(params)


@HOW
@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_gradients_are_left_as_they_are_and_maximize_turns_them(how, optimizer_class):
    params, twins = start(), start()
    gradients(params, torch.Generator().manual_seed(0))
    for name, p in twins.items():
        p.grad = -params[name].grad
    kept = {n: p.grad.clone() for n, p in params.items()}
    optimizer_class(params.values(), lr=0.1, maximize=True, **how).step()
    optimizer_class(twins.values(), lr=0.1, **how).step()
    assert all(torch.equal(p.grad, kept[n]) for n, p in params.items())
    assert all(torch.equal(p, twins[n]) for n, p in params.items())


@HOW
def test_a_parameter_whose_gradient_comes_late_takes_its_own_first_step(how):
    early, late = (torch.ones(2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    optimizer = AdamP([early, late], lr=0.1, **how, delta=0.0)
    for step in range(6):
        early.grad = torch.ones_like(early)
        late.grad = torch.ones_like(late) if step == 5 else None
        optimizer.step()
    torch.testing.assert_close(late.detach(), torch.full_like(late, 0.9))


@HOW
@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_empty_frozen_and_mixed_parameters_live_in_one_group(how, optimizer_class):
    params = [
        torch.ones(0, 4),
        torch.ones(3, 4),
        torch.ones(3, 4, dtype=torch.float64),
        torch.ones(3, 4, dtype=torch.bfloat16),
        torch.ones(3, 4, dtype=torch.complex64),
    ]
    frozen = torch.ones(2, 2)
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer_class([*params, frozen], lr=0.1, **how).step()
    assert all((p != 1).all() for p in params)
    assert torch.equal(frozen, torch.ones(2, 2))


@HOW
def test_a_complex_weight_steps_as_its_real_and_imaginary_parts_and_a_complex_vector_is_never_projected(how):
    matrix = torch.randn(3, 4, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    real = torch.view_as_real(matrix).clone().requires_grad_()
    matrix, vector = matrix.requires_grad_(), torch.ones(4, dtype=torch.complex128, requires_grad=True)
    optimizer, twin = AdamP([matrix, vector], lr=0.1, **how), AdamP([real], lr=0.1, **how)
    gradients({"conv": real}, torch.Generator().manual_seed(1))
    matrix.grad = torch.view_as_complex(real.grad.clone())
    vector.grad = vector.detach() * 1j
    optimizer.step()
    twin.step()
    assert torch.equal(torch.view_as_real(matrix.detach()), real.detach())
    assert optimizer.projections() == {"none": 0, "channel": 1, "layer": 0}


@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_sparse_gradients_are_refused(optimizer_class):
    net = nn.Embedding(4, 2, sparse=True)
    net(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match=f"{optimizer_class.__name__} does not support sparse gradients"):
        optimizer_class(net.parameters(), lr=0.1).step()


@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_a_closure_runs_with_gradients_even_where_there_are_none(optimizer_class):
    weight = torch.ones(2, 2, requires_grad=True)
    optimizer = optimizer_class([weight], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure) == 4.0
    assert (weight < 1).all()


@pytest.mark.parametrize(
    ("optimizer_class", "options", "words"),
    [
        (AdamP, {"lr": -1.0}, "Invalid learning rate: -1.0"),
        (AdamP, {"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0"),
        (AdamP, {"eps": -1.0}, "Invalid eps"),
        (AdamP, {"weight_decay": -1.0}, "Invalid weight_decay"),
        (AdamP, {"delta": -0.1}, "Invalid delta"),
        (AdamP, {"projection": "of"}, "Invalid projection: 'of'"),
        (AdamP, {"channel_dim": 2}, "Invalid channel_dim: 2"),
        (AdamP, {"lr": torch.tensor(0.1), "foreach": True}, "lr as a Tensor"),
        (SGDP, {"lr": 0.1, "momentum": 1.0}, "Invalid momentum: 1.0"),
        (SGDP, {"lr": 0.1, "wd_ratio": -1.0}, "Invalid wd_ratio"),
    ],
)
def test_arguments_out_of_range_are_refused(optimizer_class, options, words):
    with pytest.raises(ValueError, match=words):
        optimizer_class([torch.ones(2, 2, requires_grad=True)], **options)


@HOW
@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_a_rate_may_be_a_tensor(how, optimizer_class):
    ours, _ = train(optimizer_class, lr=torch.tensor(0.01), steps=5, **how, capturable="foreach" in how)
    theirs, _ = train(optimizer_class, lr=torch.tensor(0.01).item(), steps=5)
    assert distance(ours, theirs) < 1e-6


@pytest.mark.parametrize("how", [{"foreach": False}, {"foreach": True}], ids=["single", "foreach"])
@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_capturable_asks_the_device_nothing(how, optimizer_class):
    params = start()
    gradients(params, torch.Generator().manual_seed(0))
    optimizer = optimizer_class(params.values(), lr=0.01, **how, capturable=True)
    optimizer.step()
    from torch.utils._python_dispatch import TorchDispatchMode

    class Refuse(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            assert "_local_scalar_dense" not in str(func), func
            return func(*args, **(kwargs or {}))

    with Refuse():
        optimizer.step()


@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_a_differentiable_step_can_be_differentiated(optimizer_class):
    start_, grad = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind()
    grad = grad - (grad * start_).sum(1, keepdim=True) / start_.square().sum(1, keepdim=True) * start_

    def stepped(weight):
        moved = weight.clone()
        moved.grad = grad
        optimizer_class([moved], lr=0.1, weight_decay=0.1, differentiable=True).step()
        return moved

    assert torch.autograd.gradcheck(stepped, start_.clone().requires_grad_())


@pytest.mark.parametrize(
    ("ours", "name", "more"), [(AdamP, "AdamP", {}), (SGDP, "SGDP", {"momentum": 0.9, "nesterov": True})]
)
def test_checkpoints_of_the_official_package_load(ours, name, more):
    official = getattr(pytest.importorskip("adamp"), name)
    theirs, source = train(official, steps=5, lr=1e-2, **more)
    params = {n: p.detach().clone().requires_grad_() for n, p in theirs.items()}
    optimizer = ours(params.values(), lr=1.0)
    optimizer.load_state_dict(copy.deepcopy(source.state_dict()))
    for ps, o in ((theirs, source), (params, optimizer)):
        generator = torch.Generator().manual_seed(2)
        for _ in range(5):
            gradients(ps, generator)
            o.step()
    assert distance(params, theirs) < 1e-12


@HOW
@pytest.mark.parametrize(("optimizer_class", "more"), [(AdamP, {}), (SGDP, {"momentum": 0.9})])
def test_a_restored_optimizer_goes_on_bit_for_bit(how, optimizer_class, more):
    whole, _ = train(optimizer_class, steps=6, lr=1e-2, **how, **more)
    params = start()
    generator = torch.Generator().manual_seed(1)
    optimizer = optimizer_class(params.values(), lr=1e-2, **how, **more)
    for _ in range(6):
        saved = copy.deepcopy(optimizer.state_dict())
        optimizer = optimizer_class(params.values(), lr=1e-2, **how, **more)
        optimizer.load_state_dict(saved)
        gradients(params, generator)
        optimizer.step()
    assert all(torch.equal(p, whole[n]) for n, p in params.items())


@pytest.mark.slow
def test_the_capturable_foreach_step_compiles_as_one_graph():
    """Around the graph breaks by which torch's optimizers keep the gradient mode out of it."""

    def ends(compiled):
        params = {name: p for name, p in start().items() if name in ("conv", "layer", "bias")}
        optimizer = AdamP(params.values(), lr=torch.tensor(1e-2), weight_decay=0.1, foreach=True, capturable=True)
        bare = AdamP.step.__wrapped__.__wrapped__
        step = torch.compile(lambda: bare(optimizer), fullgraph=True) if compiled else optimizer.step
        generator = torch.Generator().manual_seed(1)
        for _ in range(3):
            gradients(params, generator)
            with torch.no_grad():
                step()
        return params, optimizer.projections()

    (eager, views), (compiled, compiled_views) = ends(False), ends(True)
    assert distance(compiled, eager) < 1e-12
    assert compiled_views == views
    assert views["channel"] > 0
