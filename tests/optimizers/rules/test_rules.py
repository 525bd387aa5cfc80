"""AdaBound, SGD-G, Adam-G, RMSpropTF and Adam-then-SGD: their traps and identities; trajectories are in test_golden."""

import copy

import pytest
import torch

from optathlon.optimizers import OptimizerError, optimizer
from optathlon.optimizers.decay import CONVENTION_OF, convert, formula, readings, shrink
from optathlon.optimizers.rules.adabound import AdaBound
from optathlon.optimizers.rules.adam_sgd import AdamSGD
from optathlon.optimizers.rules.grassmann import SGDG, AdamG
from optathlon.optimizers.rules.rmsprop_tf import RMSpropTF


def weights(seed, *shape):
    return torch.randn(*(shape or (3, 5)), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def steps(build, count=10, start=0, param=None):
    param = weights(0).requires_grad_() if param is None else param
    optimizer = build([param])
    for i in range(start, start + count):
        param.grad = weights(i + 1)
        optimizer.step()
    return param.detach(), optimizer


def test_adabound_s_bounds_follow_the_rate_through_a_checkpoint():
    param, source = steps(lambda ps: AdaBound(ps, lr=1e-2))
    source.param_groups[0]["lr"] = 1e-3
    twin = param.clone().requires_grad_()
    restored = AdaBound([twin], lr=1e-3)
    restored.load_state_dict(copy.deepcopy(source.state_dict()))
    assert restored.param_groups[0]["base_lr"] == 1e-2
    assert copy.deepcopy(restored).param_groups[0]["base_lr"] == 1e-2
    (original,) = source.param_groups[0]["params"]
    for o, p in ((source, original), (restored, twin)):
        p.grad = weights(50)
        o.step()
    assert torch.equal(original, twin)


def test_adabound_updates_groups_added_later():
    late = weights(1).requires_grad_()
    _, optimizer_ = steps(lambda ps: AdaBound(ps, lr=1e-2))
    optimizer_.add_param_group({"params": [late], "lr": 1e-3})
    late.grad, before = weights(2), late.detach().clone()
    optimizer_.step()
    assert (late != before).all()
    assert optimizer_.param_groups[1]["base_lr"] == 1e-3


def test_adabound_at_rate_zero_moves_nothing_and_gamma_zero_is_refused():
    for lr in (0.0, 1e-2):
        param = weights(0).requires_grad_()
        adabound = AdaBound([param], lr=lr)
        adabound.param_groups[0]["lr"] = 0.0
        param.grad = weights(1)
        adabound.step()
        assert torch.equal(param, weights(0))
    with pytest.raises(ValueError, match=r"Invalid gamma: 0\.0"):
        AdaBound([weights(0)], gamma=0.0)


def test_adabound_with_bounds_far_away_is_adam_and_its_decoupled_decay_is_adamw_s():
    """Bounds at t: final_lr (1 -+ 1 / (gamma t)); final_lr tiny and gamma tinier leave everything between them."""
    wide = {"lr": 1e-2, "final_lr": 1e-2, "gamma": 1e-12, "eps": 1e-30}
    for more, theirs in (
        ({"weight_decay": 0.1}, torch.optim.Adam),
        ({"weight_decay": 0.1, "decoupled": True}, torch.optim.AdamW),
    ):
        ours, _ = steps(lambda ps, more=more: AdaBound(ps, **wide, **more))
        adam, _ = steps(lambda ps, theirs=theirs: theirs(ps, lr=1e-2, eps=1e-30, weight_decay=0.1))
        torch.testing.assert_close(ours, adam, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("build", [SGDG, AdamG])
def test_rows_stay_unit_vectors_and_momenta_tangent_to_them(build):
    param = weights(0, 4, 2, 3).requires_grad_()
    optimizer_ = build([param], lr=0.05, manifold=True)
    key = "momentum_buffer" if build is SGDG else "exp_avg"
    for i in range(200):
        rows = param.detach().flatten(1)
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-7)
        param.grad = weights(i + 1, 4, 2, 3)
        optimizer_.step()
        momentum = optimizer_.state[param][key]
        along = (momentum * param.detach().flatten(1)).sum(1).abs()
        assert along.max() < 1e-6 * max(1.0, momentum.norm().item())


@pytest.mark.parametrize("build", [SGDG, AdamG])
def test_at_rate_zero_nothing_moves_whatever_the_momentum(build):
    param, optimizer_ = steps(lambda ps: build(ps, lr=0.1, manifold=True))
    before = param.clone()
    optimizer_.param_groups[0]["lr"] = 0.0
    optimizer_.step()
    assert torch.equal(param, before)


@pytest.mark.parametrize("build", [SGDG, AdamG])
def test_what_is_not_on_the_manifold_takes_nesterov_sgd(build):
    ours, _ = steps(lambda ps: build(ps, lr=0.1, weight_decay=0.1))
    theirs, _ = steps(lambda ps: torch.optim.SGD(ps, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1))
    torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-13)
    vector = weights(0, 5).requires_grad_()
    build([vector], manifold=True)
    assert torch.equal(vector, weights(0, 5))


@pytest.mark.parametrize("build", [SGDG, AdamG])
def test_gradients_are_not_written_to(build):
    param = weights(0).requires_grad_()
    param.grad = weights(1)
    build([param], manifold=True, omega=0.1).step()
    assert torch.equal(param.grad, weights(1))


@pytest.mark.parametrize("options", [{}, {"omega": 0.0, "clip": 0.0, "weight_decay": 0.1, "maximize": True}])
@pytest.mark.parametrize("build", [SGDG, AdamG])
def test_foreach_takes_the_loop_s_steps_of_mixed_parameters(build, options):
    def ends(foreach):
        shapes = ((3, 5), (3, 5), (3, 5, 1), (4, 2), (6,), (), (0, 3), (3, 5))
        params = [
            torch.randn(s, dtype=torch.float64, generator=torch.Generator().manual_seed(i))
            for i, s in enumerate(shapes)
        ]
        params[-1] = params[-1].bfloat16()
        plain = [weights(7, 3, 5).requires_grad_(), weights(8, 4).requires_grad_()]
        for p in params:
            p.requires_grad_()
        groups = [{"params": params, "manifold": True, "lr": 0.05}, {"params": plain}]
        optimizer_ = build(groups, lr=0.02, foreach=foreach, **options)
        for i in range(6):
            for j, p in enumerate([*params, *plain]):
                if j != 1 or i > 2:  # its first gradient comes late
                    g = torch.randn(p.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(10 * i + j))
                    p.grad = g.to(p.dtype)
            optimizer_.step()
        return [*params, *plain], optimizer_

    (loop, _), (together, optimizer_) = ends(False), ends(True)
    for a, b in zip(loop, together, strict=True):
        tolerance = 1e-2 if a.dtype == torch.bfloat16 else 1e-13
        torch.testing.assert_close(b, a, rtol=tolerance, atol=tolerance)
    assert all(v._base is None for state in optimizer_.state.values() for v in state.values()), "a state of its own"


def test_rmsprop_tf_without_momentum_and_eps_is_rmsprop_from_a_mean_square_of_one():
    param = weights(0).requires_grad_()
    theirs = torch.optim.RMSprop([param], lr=0.01, alpha=0.9, eps=0.0, weight_decay=0.1)
    theirs.state[param] = {"step": torch.tensor(0.0), "square_avg": torch.ones_like(param)}
    for i in range(10):
        param.grad = weights(i + 1)
        theirs.step()
    ours, _ = steps(lambda ps: RMSpropTF(ps, lr=0.01, momentum=0.0, eps=0.0, weight_decay=0.1))
    torch.testing.assert_close(ours, param.detach(), rtol=1e-13, atol=1e-13)


def test_rmsprop_tf_s_momentum_holds_the_rate_and_eps_is_inside_the_root():
    param = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    rmsprop = RMSpropTF([param], lr=1.0, alpha=0.5, eps=0.5, momentum=0.5)
    param.grad = torch.zeros(1, dtype=torch.float64) + 1.0
    rmsprop.step()
    first = 1 / 1.5**0.5
    assert param.item() == pytest.approx(-first, rel=1e-15)
    rmsprop.param_groups[0]["lr"] = 0.1
    rmsprop.step()
    assert param.item() == pytest.approx(-first - (0.5 * first + 0.1 * first), rel=1e-15)


def test_adam_sgd_is_adam_until_the_switch_then_sgd_with_fresh_momentum_through_a_checkpoint():
    options = {"lr": 1e-2, "weight_decay": 1e-2}
    ours, mixture = steps(lambda ps: AdamSGD(ps, **options, switch=2), count=5)
    mixture.epoch_end(0, 0.5)
    adam, _ = steps(lambda ps: torch.optim.Adam(ps, **options), count=5)
    torch.testing.assert_close(ours, adam, rtol=1e-13, atol=1e-13)
    mixture.epoch_end(1, 0.4)

    param = ours.clone().requires_grad_()
    restored = AdamSGD([param], lr=1.0)
    restored.load_state_dict(copy.deepcopy(mixture.state_dict()))
    twin = ours.clone().requires_grad_()
    sgd = torch.optim.SGD([twin], momentum=0.9, nesterov=True, **options)
    for i in range(5):
        param.grad = twin.grad = weights(i + 20)
        restored.step()
        sgd.step()
    torch.testing.assert_close(param, twin, rtol=1e-13, atol=1e-13)
    assert list(restored.state[param]) == ["momentum_buffer"]


def test_weight_decay_conventions_convert_through_the_shrink_of_a_step():
    assert shrink(1e-4, "l2", lr=0.1, momentum=0.9) == pytest.approx(1e-4)
    assert convert(1e-4, "shrink", "decoupled", lr=1e-3) == pytest.approx(0.1)
    assert convert(1e-6, "shrink", "decoupled", lr=1e-3, wd_ratio=0.1) == pytest.approx(1e-2)
    assert convert(1e-5, "shrink", "sgdp", lr=0.1, momentum=0.9, wd_ratio=0.1) == pytest.approx(1e-4)
    for source in ("l2", "decoupled", "sgdp"):
        there = convert(0.3, source, "shrink", lr=0.2, momentum=0.5, wd_ratio=0.1)
        assert convert(there, "shrink", source, lr=0.2, momentum=0.5, wd_ratio=0.1) == pytest.approx(0.3)


def test_the_paper_s_1e_4_read_both_ways():
    adamp = readings("adamp", 1e-4, optimizer("adamp").resolve({}))
    assert adamp["shrink_if_argument"] == pytest.approx(1e-7)
    assert adamp["shrink_if_argument_projected"] == pytest.approx(1e-8)
    assert adamp["argument_if_shrink"] == pytest.approx(0.1)
    assert adamp["argument_if_shrink_projected"] == pytest.approx(1.0)
    assert readings("adam", 1e-4, optimizer("adam").resolve({})) == {}


@pytest.mark.parametrize("name", [name for name, kind in CONVENTION_OF.items() if kind != "l2"])
def test_the_shrink_is_what_a_step_takes_from_a_weight_without_gradient(name):
    if optimizer(name).factory.startswith("optathlon.optimizers.rules.pytorch_optimizer:"):
        pytest.importorskip("pytorch_optimizer")
    spec = optimizer(name)
    momentum = {"momentum": 0.5} if name == "sgdp" else {}
    resolved = spec.resolve({"lr": 1e-2, "weight_decay": 0.01, **momentum})
    weight = torch.ones(2, 2, dtype=torch.float64, requires_grad=True)
    weight.grad = torch.zeros_like(weight)
    built = spec.build([{"params": [weight]}], resolved)
    built.step()
    if name == "soap":  # its first step only prepares
        built.step()
    key = "shrink_if_argument_projected" if "wd_ratio" in resolved else "shrink_if_argument"
    assert 1 - weight.detach().mean().item() == pytest.approx(readings(name, 0.01, resolved)[key], rel=1e-9)


def test_every_convention_has_a_formula_in_words():
    assert {name for name in CONVENTION_OF if formula(name)} == set(CONVENTION_OF)
    assert formula("sgdp") == "weight_decay * lr / (1 - momentum), times wd_ratio where projected"
    assert formula("adam") is None


def test_the_shrink_of_coupled_decay_is_what_sgd_takes_once_its_momentum_has_settled():
    weight = torch.ones(2, dtype=torch.float64, requires_grad=True)
    sgd = torch.optim.SGD([weight], lr=1e-3, momentum=0.5, weight_decay=0.01)
    for _ in range(100):
        weight.grad, before = torch.zeros_like(weight), weight.detach().clone()
        sgd.step()
    taken = 1 - (weight.detach() / before).mean().item()
    assert taken == pytest.approx(shrink(0.01, "l2", lr=1e-3, momentum=0.5), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1e-4, "l3", "l2"), "unknown weight-decay convention 'l3'"),
        ((1e-4, "shrink", "decoupled"), "no weight decay shrinks"),
    ],
)
def test_conversions_that_make_no_sense_are_refused(arguments, words):
    with pytest.raises(OptimizerError, match=words):
        convert(*arguments, lr=0.0)
